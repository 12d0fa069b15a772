/** @file `fettle joint search`: the best sub-net and bits for a device and its limits, fine-tuned, exported, measured. */
import { join } from "node:path";
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { QuantizedWeights } from "../graph/quantized-weight.ts";
import { isAccelerator, isCpu } from "../hardware/kinds.ts";
import type { Precision } from "../hardware/precision.ts";
import { type AccuracyTask, quantizedSubnet, tunedSubnet } from "../joint/accuracy-tasks.ts";
import { floatSpace } from "../joint/costs.ts";
import { extractCalibrated } from "../joint/extract.ts";
import { jointLimits } from "../joint/limits.ts";
import { layerBits } from "../joint/precision.ts";
import { loadSupernet } from "../joint/train-supernet.ts";
import { quantizableLayers } from "../quantize/layers.ts";
import { policyOf } from "../quantize/network.ts";
import { createGenetics } from "../space/genome.ts";
import { largestSubnet, summariseSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { requireNoAverage } from "../train/recipe.ts";
import { systemClock } from "../util/clock.ts";
import { createProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import { CALIBRATION_BATCHES, calibrationImages } from "./compression-steps.ts";
import { deploy } from "./deploy.ts";
import { contest, type Network } from "./finalists.ts";
import { openRunFolder } from "./folder.ts";
import { chooseSubnet, type FrontierPoint, frontierOf, scoreSubnets } from "./joint-choice.ts";
import { type JointDescription, readJointDescription, SUPERNET } from "./joint-folder.ts";
import { constraintsOf, leastCost, requireEachReachable, requireSmallestWithin } from "./joint-limits.ts";
import type { JointSearchRunOptions } from "./joint-search-options.ts";
import { openJointTeacher } from "./joint-teacher.ts";
import { layerCostKind, writeLayerCosts } from "./layer-costs.ts";
import { nameCost } from "./limit-kinds.ts";
import { clearFolder } from "./replace.ts";
import { readKept, requireSameRun } from "./resume.ts";
import { requireBatch } from "./train-run.ts";

export interface JointSearchResult {
  readonly card: Card;
  readonly summary: string;
  /** By the predictor, and measured before and after fine-tuning, 0…1. */
  readonly predicted: number;
  readonly validation: number;
  readonly tuned: number | null;
  readonly frontier: readonly FrontierPoint[];
  /** From the limits to the chosen sub-net, costs of the device included; of that until candidates were judged on images. */
  readonly searchSeconds: number;
  readonly scoredSeconds: number;
  readonly isCancelled: boolean;
}

/** What a run that was interrupted had found: measured latencies would find another. */
interface Choice {
  readonly genome: readonly number[];
  readonly predicted: number;
}

/** A sub-net to be fine-tuned; quantised ones know their codes and bits. */
interface SubnetNetwork extends Network {
  readonly encoded?: () => QuantizedWeights;
  readonly precision: ReadonlyMap<string, Precision>;
}

/** Of the run's folder: the limits, which may be shares of what was measured, so that a run that is gone on with has the same. */
const LIMITS = "costs.json";

/** Scored sub-nets that the report shows. */
const SCORED_KEPT = 400;

/** @throws AppError CONFIG when the images are not those that the supernet was trained for */
export function requireImagesOf({ classes, space }: JointDescription, { train }: DataSplits, dir: string): void {
  const [want, got] = [
    [space.input, classes],
    [train.shape, train.classes],
  ].map(([shape, names]) => `${shape!.join("x")} of ${names!.join(", ")}`);
  if (want !== got) throw new AppError("CONFIG", `joint: the images must be those of ${dir}, ${want}, got ${got}`);
}

/** Searches, fine-tunes and exports; everything is kept in the run folder. @throws AppError CONFIG, INFEASIBLE, ONNX, STORE */
export async function runJointSearch(options: JointSearchRunOptions): Promise<JointSearchResult> {
  const {
    supernetDir,
    dir,
    config,
    device,
    budgets,
    data,
    recipe,
    threads,
    signal,
    onProgress,
    onNote = () => {},
    clock = systemClock,
  } = options;
  const started = clock.nowMs();
  const secondsSince = (ms: number) => (clock.nowMs() - ms) / 1000;
  if (options.resume) requireSameRun(dir, config);
  const description = readJointDescription(supernetDir);
  requireImagesOf(description, data, supernetDir);
  const isOnFloats = device !== null && !isAccelerator(device);
  const isFloat = isOnFloats || options.method === "architecture";
  if (!isFloat) requireNoAverage("joint search", recipe);
  const space = isOnFloats ? floatSpace(description.space) : description.space;
  if (!options.isReachable && !options.resume) await requireSmallestWithin(space, device, budgets);
  const measuring = { report: null as ReturnType<typeof createProgress> | null };
  const asked = await jointLimits(space, device, budgets, (done, total) => {
    measuring.report ??= createProgress("measuring blocks", total, clock, onProgress);
    measuring.report(done);
  });
  const before = readKept<readonly number[]>(dir, LIMITS, options);
  const told = before ? asked.map((one, i) => ({ ...one, limit: before[i]! })) : asked;
  const limits = options.isReachable ? told.map((one) => ({ ...one, limit: Math.max(one.limit, leastCost(space, one)) })) : told;
  if (!before) requireEachReachable(space, limits);
  if (!isFloat || recipe.epochs > 0) requireBatch(data, recipe.batchSize);
  const genetics = createGenetics(space);
  using shared = loadSupernet(description.space, join(supernetDir, SUPERNET));
  const isMeasured = device !== null && isCpu(device);
  const search = { space, isFloat, isMeasured, limits };
  const scored = await scoreSubnets(options, search);
  const scoredSeconds = secondsSince(started);
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const task: AccuracyTask = {
    space,
    shared,
    data,
    images,
    batchSize: recipe.batchSize,
    augmentation: recipe.augmentation,
    tuneSteps: description.tuning.steps,
    tuneLr: description.tuning.lr,
    seed: recipe.seed,
  };
  const choose = async (): Promise<Choice> => {
    const { genome, accuracy } = await chooseSubnet(options, search, { task, scored });
    return { genome: [...genome], predicted: accuracy };
  };
  if (!options.resume) clearFolder(dir);
  using folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  const journal = folder.journal<Choice>("choice", options.resume === true);
  const { predicted, ...kept } = journal.entries[0] ?? (await choose());
  const searchSeconds = secondsSince(started);
  // an interruption leaves the best unjudged: a run that is gone on with judges them
  if (journal.entries.length === 0 && !signal?.aborted) {
    folder.writeJson(
      LIMITS,
      told.map(({ limit }) => limit),
    );
    journal.append({ ...kept, predicted });
  }
  const chosen = Uint8Array.from(kept.genome);
  const choice = genetics.decode(chosen);
  const summary = summariseSubnet(space, choice.subnet);
  const costs = limits.map(({ kind, cost }) => nameCost(kind, cost(chosen))).join(", ");
  onNote(
    `found ${summary}: predicted ${formatPercent(Math.min(1, predicted))}, ${costs}, in ${searchSeconds.toFixed(1)} s, ${scoredSeconds.toFixed(1)} s of it before the best were judged on images`,
  );

  const isTrained = recipe.epochs > 0 && !signal?.aborted && !options.until?.aborted;
  const hasTeacher = isTrained && options.distillation && !options.teacher;
  using own = hasTeacher ? openJointTeacher(description.space, supernetDir, { data, images }) : null;
  const open = (): SubnetNetwork & Disposable => {
    if (isFloat) {
      const { graph, params } = extractCalibrated(space, shared, choice.subnet, images);
      return { graph, params, precision: new Map(), [Symbol.dispose]: () => params[Symbol.dispose]() };
    }
    const net = isTrained ? quantizedSubnet(task, choice) : tunedSubnet(task, choice);
    const layers = quantizableLayers(net.graph);
    return { ...net, projections: net.quantizers, precision: policyOf(layers, layerBits(space, choice, layers)) };
  };
  const { outcomes, card, isCancelled } = await contest(options, {
    finalists: [{ name: "joint", decisions: [...chosen] }],
    teacher: options.teacher ?? own,
    folder,
    open,
    deploy: async (_, { graph, params, precision, encoded }) => {
      await writeLayerCosts(
        folder,
        device,
        { graph: subnetGraph(space, largestSubnet(space)) },
        { graph, bits: precision },
        layerCostKind(budgets),
      );
      folder.writeJson("policy.json", {
        subnet: choice.subnet,
        summary,
        predicted,
        layers: [...precision].map(([name, bits]) => ({ name, ...bits })),
      });
      return deploy({
        graph,
        params,
        data,
        folder,
        seed: recipe.seed,
        threads,
        precision,
        ...(encoded ? { quantized: encoded() } : {}),
        constraints: (measured): Constraint[] => constraintsOf(told, chosen, measured, isMeasured),
      });
    },
    onOutcome: (all) =>
      folder.writeJson("policies.json", {
        policies: all.map(({ decisions, ...outcome }) => ({ ...outcome, costs: limits.map(({ cost }) => cost(chosen)) })),
      }),
  });
  const [outcome] = outcomes;
  const frontier = frontierOf(space, scored);
  folder.writeJson("frontier.json", {
    cost: budgets[0]!.kind,
    frontier,
    scored: createRng(0)
      .shuffle([...scored])
      .slice(0, SCORED_KEPT)
      .map(({ accuracy, costs: own }) => ({ accuracy, costs: own })),
  });
  if (!isCancelled) folder.finish();
  return {
    card,
    summary,
    predicted,
    validation: outcome!.validation,
    tuned: outcome!.tuned?.validation ?? null,
    frontier,
    searchSeconds,
    scoredSeconds,
    isCancelled,
  };
}
