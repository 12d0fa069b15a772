/** @file A trained model made smaller: channels by AMC, then bits by HAQ, each as far as the limits ask for. */
import { AppError } from "../errors.ts";
import { isCpu } from "../hardware/kinds.ts";
import { quantizableLayers } from "../quantize/layers.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import { CALIBRATION_BATCHES, calibrationImages, trainable } from "../run/compression-steps.ts";
import { type OpenedModel, openModel } from "../run/model-file.ts";
import type { PruneLimitOptions } from "../run/prune-limits.ts";
import { runPrune } from "../run/prune-run.ts";
import { runQuantize } from "../run/quantize-run.ts";
import type { StageName } from "../run/stage-names.ts";
import { lrFor } from "../train/recipe.ts";
import { defaultSearch, leastSearchMs, type Pace, planSearch, requireTime, type SearchEffort } from "./effort.ts";
import { type CostLimit, isAlwaysInBits } from "./limits.ts";
import { measurePace } from "./pace.ts";
import {
  type Arithmetic,
  BITS,
  bearingOnBits,
  describeReach,
  LOWEST_DENSITY,
  pruningTargets,
  quantizationFor,
  type Reach,
  reachOf,
  requireReach,
} from "./reach.ts";
import { commonOptions, imagesOf, type Route, type StageOutcome, type StageSettings } from "./settings.ts";
import { unlessOutOfReach } from "./so-far.ts";
import type { StageAt } from "./stages.ts";
import { recipeForTime } from "./tuning.ts";

/** Of what is left of the time: pruning before quantisation. */
const PRUNED_SHARE = 0.5;
/** Highest learning rate of what each stage made smaller, in the default epochs or more. */
const TUNE_LR = { pruned: 0.1, quantized: 0.02 } as const;
/** Policies that are trained alike with `--baselines`: the found one and the rules. */
const FINALISTS = { pruned: 5, quantized: 3 } as const;

interface Plan extends Reach {
  readonly arithmetic: Arithmetic;
  readonly targets: ReturnType<typeof pruningTargets>;
  readonly isQuantized: boolean;
  /** Whose bits are to be found. */
  readonly layers: number;
  /** null without a limited time. */
  readonly pace: Pace | null;
}

/** Feasibility, in seconds; decided once. @throws AppError INFEASIBLE, CONFIG */
function planOf(
  opened: OpenedModel,
  costs: readonly CostLimit[],
  settings: StageSettings,
  arithmetic: Arithmetic = "integers",
  measured: Reach["measured"] = null,
): Promise<Plan> {
  const { data, device, recipe, deadline, clock, stages, onNote, onProgress } = settings;
  return stages.once(arithmetic === "floats" ? "reach with floats" : "reach", async () => {
    const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
    const model = trainable(opened.model, images);
    const onMeasured = (done: number, total: number) => onProgress?.({ task: "measuring layers", done, total });
    const reach = await reachOf({ model, costs, device, arithmetic, measured, images, seed: recipe.seed, onMeasured });
    const { reached } = reach;
    if (arithmetic === "integers") for (const limit of reached) onNote(describeReach(limit));
    for (const limit of reached) requireReach(limit);
    const targets = pruningTargets(reached);
    const isQuantized = reached.some(
      ({ kind, limit, now, leverage }) => isAlwaysInBits(kind, device) || (leverage.fewestBits < 1 && limit < now),
    );
    const left = deadline.leftMs();
    const pace = left === null ? null : measurePace(model.graph, data, recipe.batchSize, clock);
    if (pace && left !== null) {
      const least = (isNeeded: boolean, stage: "pruned" | "quantized") => (isNeeded ? leastSearchMs(stage, pace, imagesOf(settings)) : 0);
      requireTime(left, least(targets.length > 0, "pruned") + least(isQuantized, "quantized"));
    }
    return { ...reach, arithmetic, targets, isQuantized, layers: quantizableLayers(model.graph).length, pace };
  });
}

const isOfBits = (name: StageName): boolean => name === "quantized" || name === "packed";

/** In fewer epochs a network is moved less far: it has no time to come back. */
function tuneLrOf(name: StageName, epochs: number, settings: StageSettings): number {
  const { tuneLr, recipe } = settings;
  const course = Math.min(1, epochs / defaultSearch(imagesOf(settings)).epochs);
  return tuneLr ?? course * lrFor(recipe.batchSize, TUNE_LR[isOfBits(name) ? "quantized" : "pruned"]);
}

/** @param share of what is left of the time */
function effortOf(name: StageName, share: number, { layers, pace }: Plan, settings: StageSettings): Promise<SearchEffort> {
  const { deadline, stages, episodes, epochs, baselines } = settings;
  const stage = isOfBits(name) ? "quantized" : "pruned";
  const given = { ...(episodes === undefined ? {} : { episodes }), ...(epochs === undefined ? {} : { epochs }) };
  return stages.once(`effort of ${name}`, async () => {
    const left = deadline.leftMs();
    const counts = imagesOf(settings);
    if (!pace || left === null) return { ...defaultSearch(counts), ...given };
    const planned = planSearch(stage, share * left, pace, counts, {
      given,
      finalists: baselines ? FINALISTS[stage] : 1,
      layers: stage === "quantized" ? layers : 0,
    });
    settings.onNote(`in this time ${planned.episodes} policies are tried`);
    return planned;
  });
}

async function searchOptions(
  opened: OpenedModel,
  share: number,
  { dir, resume }: StageAt,
  stage: StageName,
  plan: Plan,
  settings: StageSettings,
) {
  const { data, recipe, baselines, deadline } = settings;
  const { episodes, epochs, sensitivities } = await effortOf(stage, share, plan, settings);
  const [until, searchUntil] = [deadline.until(share), deadline.until(share / 2)];
  const lrOf = (count: number) => tuneLrOf(stage, count, settings);
  const recipeFor = recipeForTime(stage, share, lrOf, settings);
  return {
    ...commonOptions(settings, stage),
    model: opened.model,
    source: opened.path,
    data,
    episodes,
    sensitivities,
    warmup: Math.ceil(episodes / 4),
    recipe: { ...recipe, lr: lrOf(epochs), epochs },
    baselines,
    dir,
    resume,
    ...(recipeFor ? { recipeFor } : {}),
    ...(until ? { until } : {}),
    ...(searchUntil ? { searchUntil } : {}),
  };
}

const quantizationOf = ({ reached, arithmetic }: Plan, { device }: StageSettings) =>
  quantizationFor(bearingOnBits(reached, device, arithmetic), device);

function pruneStage(
  stage: "pruned" | "pruned-alone",
  opened: OpenedModel,
  budgets: PruneLimitOptions["budgets"],
  share: number,
  plan: Plan,
  settings: StageSettings,
): Promise<StageOutcome> {
  return settings.stages.run(stage, async (at) => {
    const { card, constraints, original, isCancelled } = await runPrune({
      ...(await searchOptions(opened, share, at, stage, plan, settings)),
      device: settings.device,
      budgets,
      reward: "accuracy",
      step: plan.step,
      measured: plan.measured,
      lowest: LOWEST_DENSITY,
    });
    return { stage, card, constraints, originalTest: original.test, isCancelled };
  });
}

function quantizeStage(
  stage: "quantized" | "packed",
  opened: OpenedModel,
  isTimedFirst: boolean,
  plan: Plan,
  settings: StageSettings,
): Promise<StageOutcome> {
  const { kinds, device, scheme } = quantizationOf(plan, settings);
  const limitOf = (kind: string) => plan.reached.find((limit) => limit.kind === kind)!.limit;
  return settings.stages.run(stage, async (at) => {
    const { card, constraints, original, isCancelled } = await runQuantize({
      ...(await searchOptions(opened, 1, at, stage, plan, settings)),
      isTimedFirst,
      device,
      budgets: kinds.map((kind) => ({ kind, quantity: { kind: "absolute", value: limitOf(kind) } })),
      bits: BITS,
      scheme,
      calibration: "mse",
      shortTune: SHORT_TUNE,
    });
    return { stage, card, constraints, originalTest: original.test, isCancelled };
  });
}

const limitsOf = (outcomes: readonly StageOutcome[]) => outcomes.flatMap(({ constraints }) => constraints);
const areMet = (outcomes: readonly StageOutcome[]): boolean => limitsOf(outcomes).every(({ isMet }) => isMet);
/** By which factor the limit that is missed most is missed. */
const missedBy = (outcomes: readonly StageOutcome[]): number => Math.max(...limitsOf(outcomes).map(({ value, limit }) => value / limit));

/** What pruning and bits are to do where this CPU computes with floats; null when they cannot meet the limits so. */
async function planWithFloats(opened: OpenedModel, { reached, measured }: Plan, settings: StageSettings): Promise<Plan | null> {
  if (reached.some(({ kind }) => isAlwaysInBits(kind, settings.device))) return null;
  const costs = reached.map(({ kind, limit }) => ({ kind, quantity: { kind: "absolute", value: limit } }) as const);
  try {
    return await planOf(opened, costs, settings, "floats", measured);
  } catch (error) {
    if (error instanceof AppError && error.code === "INFEASIBLE") return null;
    throw error;
  }
}

/** The original with floats: pruned to the latency, its weights in as few bits as the size asks for. */
async function withFloats(opened: OpenedModel, plan: Plan, settings: StageSettings): Promise<StageOutcome[]> {
  const pruned = await pruneStage("pruned-alone", opened, plan.targets, plan.isQuantized ? PRUNED_SHARE : 1, plan, settings);
  if (!plan.isQuantized || settings.signal?.aborted) return [pruned];
  const current = await openModel(settings.stages.dirOf("pruned-alone"));
  const packed = await unlessOutOfReach(() => quantizeStage("packed", current, false, plan, settings), settings);
  return packed ? [pruned, packed] : [pruned];
}

/**
 * Quantisation for this CPU, where integers may not be fast enough: then the original is pruned to the latency with floats, if that can meet
 * the limits. What could not be met is left as it came out.
 */
async function attemptOnCpu(opened: OpenedModel, pruned: OpenedModel, plan: Plan, settings: StageSettings): Promise<StageOutcome[]> {
  const { stages, onNote, signal } = settings;
  const floats = await planWithFloats(opened, plan, settings);
  const quantized = await stages.once("integers on this cpu", async () => {
    try {
      return await quantizeStage("quantized", pruned, floats !== null, plan, settings);
    } catch (error) {
      if (!(error instanceof AppError && error.code === "INFEASIBLE" && floats)) throw error;
      onNote(error.message);
      return null;
    }
  });
  if (!floats || (quantized && (areMet([quantized]) || signal?.aborted))) return quantized ? [quantized] : [];
  onNote("integers do not meet the limits on this cpu: the network is pruned with floats instead");
  if (!quantized) return withFloats(opened, floats, settings);
  const alone = await unlessOutOfReach(() => withFloats(opened, floats, settings), settings);
  if (!alone) return [quantized];
  return areMet(alone) || missedBy(alone) < missedBy([quantized]) ? [quantized, ...alone] : [...alone, quantized];
}

/**
 * Runs the stages that the limits need, in order; none when the model meets them as it is.
 * @throws AppError INFEASIBLE before anything is searched; CONFIG, ONNX, STORE
 */
export async function compress(opened: OpenedModel, costs: readonly CostLimit[], settings: StageSettings): Promise<Route> {
  const { device, stages, signal } = settings;
  const plan = await planOf(opened, costs, settings);
  const { reached, targets, isQuantized } = plan;
  const outcomes: StageOutcome[] = [];
  let current = opened;
  if (targets.length > 0) {
    outcomes.push(await pruneStage("pruned", opened, targets, isQuantized ? PRUNED_SHARE : 1, plan, settings));
    current = await openModel(stages.dirOf("pruned"));
  }
  if (!isQuantized || signal?.aborted) return { costs: reached, outcomes };
  const isForCpu = isCpu(device) && quantizationOf(plan, settings).kinds.includes("latency");
  const quantize = async () =>
    isForCpu ? await attemptOnCpu(opened, current, plan, settings) : [await quantizeStage("quantized", current, false, plan, settings)];
  const later = outcomes.length > 0 ? ((await unlessOutOfReach(quantize, settings)) ?? []) : await quantize();
  return { costs: reached, outcomes: [...outcomes, ...later] };
}
