/** @file From images to a model in stages: ProxylessNAS finds and trains an architecture, AMC and HAQ make it smaller. */
import { AppError } from "../errors.ts";
import { inspectGraph } from "../graph/counts.ts";
import type { Graph } from "../graph/types.ts";
import { graphCost } from "../hardware/graph-cost.ts";
import { isAccelerator } from "../hardware/kinds.ts";
import { untrainedFile } from "../hardware/untrained-file.ts";
import type { JointDevice } from "../joint/limits.ts";
import { macsTable } from "../nas/cost-tables.ts";
import { largestPath } from "../nas/initialise.ts";
import { formatCost, nameCost } from "../run/limit-kinds.ts";
import { openModel } from "../run/model-file.ts";
import { runNas } from "../run/nas-pipeline.ts";
import type { BudgetKind } from "../run/nas-run.ts";
import { sampleArchitecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph, createSupernet } from "../space/graphs.ts";
import { lrFor } from "../train/recipe.ts";
import { createRng } from "../util/rng.ts";
import { median } from "../util/statistics.ts";
import { compress } from "./compress.ts";
import {
  type ArchitectureEffort,
  defaultArchitecture,
  leastArchitectureMs,
  leastSearchMs,
  planArchitecture,
  requireTime,
} from "./effort.ts";
import { BITOPS_PER_MAC, type CostKind, type CostLimit, dependsOnBits, SIZE_AT_EIGHT_BITS } from "./limits.ts";
import { measurePace } from "./pace.ts";
import { type AbsoluteLimit, commonOptions, imagesOf, type Route, type StageOutcome, type StageSettings } from "./settings.ts";
import { requireReachOfSmallest } from "./smallest.ts";
import { unlessOutOfReach } from "./so-far.ts";

/** What pruning and quantisation each leave of what the architecture costs, as far as they bear on a limit. */
const SHARE_OF_STAGE = 0.8;
/** A latency limit of architectures is above that of the smallest network by as much as sums of measured operators may be off. */
const LEAST_ROOM = 1.05;
/** Of the whole time. */
const ARCHITECTURE_SHARE = 0.5;
/** Random networks by which a limit is expressed in MACs. */
const DRAWS = 20;

interface Plan {
  readonly costs: readonly { readonly kind: CostKind; readonly limit: number }[];
  readonly budget: { readonly kind: BudgetKind; readonly limit: number };
  readonly effort: ArchitectureEffort;
}

/** Cost of a graph before any stage: with floats, at 8 bits on an accelerator and in BitOps. */
async function costOfGraph(kind: CostKind, graph: Graph, device: JointDevice): Promise<number> {
  if (kind === "size") return untrainedFile(graph).length;
  if (kind === "latency" || kind === "energy") {
    const { latencyMs, energyMj } = await graphCost(graph, device, new Map());
    if (kind === "latency") return latencyMs;
    if (energyMj !== null) return energyMj;
    throw new AppError(
      "CONFIG",
      `optimize: an energy limit must be that of an accelerator with an energy model, got ${device.name} — see fettle devices`,
    );
  }
  const { macs, peakActivationBytes } = inspectGraph(graph);
  return kind === "peakMemory" ? peakActivationBytes : kind === "bitops" ? BITOPS_PER_MAC * macs : macs;
}

const largestGraph = (space: SpaceDescription): Graph => architectureGraph(space, largestPath(createSupernet(space)));

function smallestGraph(space: SpaceDescription): Graph {
  const { perChoice } = macsTable(space);
  return architectureGraph(
    space,
    perChoice.map((row) => row.indexOf(Math.min(...row))),
  );
}

const asCost = ({ kind, limit }: Plan["costs"][number]): CostLimit => ({ kind, quantity: { kind: "absolute", value: limit } });

/** What the later stages are to leave of an architecture's cost: pruning, and quantisation where bits bear on it. */
function shareOfLater(kind: CostKind, device: JointDevice): number {
  if (!dependsOnBits(kind, device)) return SHARE_OF_STAGE;
  return SHARE_OF_STAGE ** 2 * (kind === "size" ? SIZE_AT_EIGHT_BITS : 1);
}

/**
 * How the architecture is limited: by the CPU's or a table's latency where that is the only limit, else by MACs that go with the limits, as
 * many as the smallest network has at least.
 */
async function architectureBudget(space: SpaceDescription, costs: Plan["costs"], device: JointDevice): Promise<Plan["budget"]> {
  const [only, second] = costs;
  if (only!.kind === "latency" && !second && !isAccelerator(device)) {
    const least = await costOfGraph("latency", smallestGraph(space), device);
    return { kind: "latency", limit: Math.max(LEAST_ROOM * least, only!.limit / SHARE_OF_STAGE) };
  }
  const rng = createRng(11);
  const graphs = Array.from({ length: DRAWS }, () => architectureGraph(space, sampleArchitecture(space, rng)));
  const { fixed, perChoice } = macsTable(space);
  const [least, most] = [Math.min, Math.max].map((pick) => perChoice.reduce((sum, row) => sum + pick(...row), fixed)) as [number, number];
  const limits: number[] = [];
  for (const { kind, limit } of costs) {
    // the most memory is that of few early layers: which network is chosen changes it little, pruning does
    if (kind === "peakMemory") continue;
    const perMac: number[] = [];
    for (const graph of graphs) perMac.push((await costOfGraph(kind, graph, device)) / inspectGraph(graph).macs);
    limits.push(limit / shareOfLater(kind, device) / median(perMac));
  }
  return { kind: "macs", limit: Math.max(least, Math.min(most, ...limits)) };
}

/** @throws AppError INFEASIBLE before anything is trained; CONFIG, STORE */
export async function staged(space: SpaceDescription, costs: readonly CostLimit[], settings: StageSettings): Promise<Route> {
  const { data, device, recipe, deadline, clock, stages, onNote, signal } = settings;
  const plan = await stages.once("reach of the space", async (): Promise<Plan> => {
    const largest = largestGraph(space);
    const absolute: { kind: CostKind; limit: number }[] = [];
    for (const { kind, quantity } of costs) {
      const limit = quantity.kind === "absolute" ? quantity.value : quantity.ratio * (await costOfGraph(kind, largest, device));
      absolute.push({ kind, limit });
    }
    await requireReachOfSmallest(smallestGraph(space), absolute.map(asCost), settings);
    const budget = await architectureBudget(space, absolute, device);
    onNote(
      `the architecture may have ${formatCost(budget.kind, budget.limit)}, so that pruning and fewer bits reach ${absolute.map(({ kind, limit }) => nameCost(kind, limit)).join(", ")}`,
    );
    const left = deadline.leftMs();
    const pace = left === null ? null : measurePace(largest, data, recipe.batchSize, clock);
    const counts = imagesOf(settings);
    if (pace && left !== null) {
      const later = leastSearchMs("pruned", pace, counts) + leastSearchMs("quantized", pace, counts);
      requireTime(left, leastArchitectureMs(pace, counts) + later);
    }
    const effort = pace && left !== null ? planArchitecture(ARCHITECTURE_SHARE * left, pace, counts) : defaultArchitecture(counts);
    return { costs: absolute, budget, effort };
  });
  const { budget, effort } = plan;
  const found = await stages.run("architecture", async ({ dir, resume }): Promise<StageOutcome> => {
    const { distillation, onStart: onSearchStart, ...common } = commonOptions(settings, "architecture");
    const { card, isCancelled } = await runNas({
      ...common,
      onSearchStart,
      data,
      space,
      device,
      dir,
      ...(resume ? { resume } : {}),
      budget: { kind: budget.kind, quantity: { kind: "absolute", value: budget.limit } },
      search: {
        mode: "two",
        loss: { name: "constraint" },
        warmupEpochs: effort.warmupEpochs,
        searchEpochs: effort.searchEpochs,
        batchSize: recipe.batchSize,
        lr: lrFor(recipe.batchSize, 0.1),
        architectureLr: 0.02,
        weightStepsPerArchitectureStep: 2,
        augmentation: recipe.augmentation,
        seed: recipe.seed,
      },
      recipe: { ...recipe, epochs: settings.epochs ?? effort.epochs },
    });
    return { stage: "architecture", card, constraints: card.constraints, originalTest: card.accuracy.test, isCancelled };
  });
  if (signal?.aborted) return { costs: plan.costs, outcomes: [found] };
  const opened = await openModel(stages.dirOf("architecture"));
  const rest = await unlessOutOfReach(() => compress(opened, plan.costs.map(asCost), settings), settings);
  if (rest) return { costs: rest.costs, outcomes: [found, ...rest.outcomes] };
  const left: AbsoluteLimit[] = [];
  for (const cost of plan.costs) left.push({ ...cost, now: await costOfGraph(cost.kind, opened.model.graph, device) });
  return { costs: left, outcomes: [found] };
}
