/** @file The whole way of `fettle nas`, with progress and everything saved in a run folder. */
import type { DataSplits } from "../data/types.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import type { Device } from "../hardware/device.ts";
import { isCpu } from "../hardware/kinds.ts";
import { costGraphs } from "../nas/cost-tables.ts";
import type { SearchReport } from "../nas/search-options.ts";
import { blocksOf, printArchitecture, sizeOfSpace, summarise } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph } from "../space/graphs.ts";
import type { Recipe } from "../train/recipe.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { createProgress, type OnProgress } from "../util/progress.ts";
import { formatPercent, type Quantity } from "../util/units.ts";
import type { Card, Constraint, Obtained } from "./card.ts";
import type { DeployOptions } from "./deploy.ts";
import { openRunFolder } from "./folder.ts";
import { constraintOf, formatCost } from "./limit-kinds.ts";
import {
  type BudgetKind,
  type Costs,
  collectCosts,
  type Found,
  findNetwork,
  type NasOptions,
  referenceCost,
  requireFeasible,
} from "./nas-run.ts";
import { clearFolder } from "./replace.ts";
import { readKept, requireSameRun } from "./resume.ts";
import { requireBatch, type TrainingOptions, trainInFolder } from "./train-run.ts";

export interface NasPipelineOptions {
  readonly data: DataSplits;
  /** What the found network is trained on, when the search uses fewer images (default: `data`). */
  readonly trainingData?: DataSplits;
  readonly space: SpaceDescription;
  readonly device: Device | CpuDevice;
  readonly budget: { readonly kind: BudgetKind; readonly quantity: Quantity };
  readonly search: Omit<NasOptions, "space" | "data" | "device" | "costs" | "budget">;
  /** How the found network is trained. */
  readonly recipe: Recipe;
  readonly dir: string;
  readonly config: unknown;
  readonly threads: number;
  /** Go on with an interrupted run; what was measured or found is not again. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  /** Called when costs are known and the limit can be met: from here on there is something to save. */
  readonly onSearchStart?: () => void;
  /** Plain remarks on the way: feasibility, what was found. */
  readonly onNote?: (text: string) => void;
  readonly clock?: Clock;
}

export interface NasPipelineResult {
  readonly card: Card;
  readonly architecture: readonly string[];
  readonly summary: string;
  readonly isMet: boolean;
  readonly isCancelled: boolean;
  readonly limitText: string;
  readonly valueText: string;
  readonly obtained: Obtained;
}

/** Limit and value of a budget for the exported file. A latency on a table device is what the table says. */
function nasConstraint(kind: BudgetKind, limit: number, predicted: number, isMeasured: boolean) {
  return ({ latency }: Parameters<NonNullable<DeployOptions["constraints"]>>[0]): Constraint => {
    if (kind === "macs") return constraintOf(kind, limit, predicted, "counted");
    return isMeasured ? constraintOf(kind, limit, latency.p50Ms, "measured") : constraintOf(kind, limit, predicted, "estimated");
  };
}

const [COSTS, SEARCH, FOUND] = ["costs.json", "search.safetensors", "found.json"];

/** Costs of the space on the device, measured where it is, and the limit in their unit. */
async function costsAndLimit({ space, device, budget }: NasPipelineOptions): Promise<{ readonly costs: Costs; readonly limit: number }> {
  const { quantity, kind } = budget;
  if (kind === "latency") {
    const { fixed, choices } = costGraphs(space);
    await device.prepare?.([...fixed, ...choices.flat().filter((graph) => graph !== null)]);
  }
  const costs = await collectCosts(space, kind, device);
  return { costs, limit: quantity.kind === "absolute" ? quantity.value : quantity.ratio * referenceCost(costs) };
}

/** @throws AppError INFEASIBLE before any training when no network of the space meets the budget; CONFIG, STORE */
export async function runNas(options: NasPipelineOptions): Promise<NasPipelineResult> {
  const { data, space, device, budget, recipe, dir, config, threads, signal, onProgress, onNote = () => {}, clock = systemClock } = options;
  requireBatch(data, Math.max(recipe.batchSize, options.search.batchSize));
  if (options.resume) requireSameRun(dir, config, []);
  const { kind } = budget;
  const { costs, limit } = readKept<Awaited<ReturnType<typeof costsAndLimit>>>(dir, COSTS, options) ?? (await costsAndLimit(options));
  const reach = requireFeasible(space, costs, limit);
  const limitText = formatCost(kind, limit);
  onNote(
    `${space.name}: ${Number(sizeOfSpace(space)).toPrecision(2)} networks of ${blocksOf(space).length} blocks, ${formatCost(kind, reach.minimum)} to ${formatCost(kind, reach.maximum)}; ${formatPercent(reach.share)} of them are within ${limitText}`,
  );
  if (!options.resume) clearFolder(dir);
  using folder = openRunFolder(dir, config, clock);
  options.onSearchStart?.();
  folder.writeJson(COSTS, { costs, limit });
  folder.log({ type: "feasibility", kind, limit, ...reach, calibration: costs.calibration });

  let report: ((done: number, message?: string) => void) | null = null;
  let comparing: ((done: number) => void) | null = null;
  let latest = "";
  const search = () =>
    findNetwork({
      ...options.search,
      checkpointPath: folder.path(SEARCH),
      ...(options.resume ? { resume: true } : {}),
      space,
      data,
      device,
      costs,
      budget: limit,
      ...(signal ? { signal } : {}),
      onStep: ({ step, steps }) => {
        report ??= createProgress("searching", steps, clock, onProgress);
        report(step + 1, latest);
      },
      onEpoch: (epoch: SearchReport) => {
        latest = `${epoch.phase}, accuracy ${formatPercent(epoch.trainAccuracy)}, entropy ${epoch.entropy.toFixed(2)}, expected ${formatCost(kind, epoch.expectedCost)}`;
        folder.log({ type: "search", ...epoch, architecture: summarise(space, epoch.architecture) });
      },
      onCandidate: (done, total) => {
        comparing ??= createProgress("comparing networks", total, clock, onProgress);
        comparing(done);
      },
    });
  const found = readKept<Found>(dir, FOUND, options) ?? (await search());
  if (!found.search.isCancelled) folder.writeJson(FOUND, found);
  const architecture = printArchitecture(space, found.architecture);
  const summary = summarise(space, found.architecture);
  folder.writeJson("policy.json", {
    space: space.name,
    architecture,
    cost: { kind, value: found.cost, limit },
    probabilities: found.search.probabilities,
  });
  folder.writeJson("space.json", space);
  onNote(`found ${summary}: ${formatCost(kind, found.cost)}, ${found.how}`);

  let trainingProgress: ((done: number, message?: string) => void) | null = null;
  let trained = "";
  const constraint = nasConstraint(kind, limit, found.cost, isCpu(device));
  const training: TrainingOptions = {
    data: options.trainingData ?? data,
    recipe,
    threads,
    constraints: (measured) => [constraint(measured)],
    resume: options.resume === true,
    ...(signal ? { signal } : {}),
    onStep: ({ step, steps }) => {
      trainingProgress ??= createProgress("training", steps, clock, onProgress);
      trainingProgress(step + 1, trained);
    },
    onEpoch: ({ epoch, validation }) => {
      trained = `epoch ${epoch + 1}: validation ${formatPercent(validation.accuracy)}`;
    },
  };
  const graph = { ...architectureGraph(space, found.architecture), name: `${space.name}-found` };
  const { card, ...trainingEnd } = await trainInFolder(folder, training, graph, null);
  const isCancelled = trainingEnd.isCancelled || found.search.isCancelled;
  if (!isCancelled) folder.finish();
  const [met] = card.constraints;
  return {
    card,
    architecture,
    summary,
    isMet: met!.isMet,
    isCancelled,
    limitText,
    valueText: formatCost(kind, met!.value),
    obtained: met!.obtained,
  };
}
