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
  BITS,
  bearingOnBits,
  describeReach,
  LOWEST_DENSITY,
  pruningTargets,
  quantizationFor,
  type Reach,
  type ReachedLimit,
  reachOf,
  requireReach,
} from "./reach.ts";
import { commonOptions, imagesOf, type Route, type StageOutcome, type StageSettings } from "./settings.ts";
import { unlessOutOfReach } from "./so-far.ts";
import type { StageAt } from "./stages.ts";

/** Of what is left of the time: pruning before quantisation, and quantisation that may turn out to be for nothing. */
const SHARES = { pruned: 0.5, attempt: 0.55 } as const;
/** Highest learning rate of what each stage made smaller. */
const TUNE_LR = { pruned: 0.1, quantized: 0.02 } as const;
/** Policies that are trained alike with `--baselines`: the found one and the rules. */
const FINALISTS = { pruned: 5, quantized: 3 } as const;

interface Plan extends Reach {
  readonly targets: ReturnType<typeof pruningTargets>;
  readonly isQuantized: boolean;
  /** Whose bits are to be found. */
  readonly layers: number;
  /** null without a limited time. */
  readonly pace: Pace | null;
}

/** Feasibility, in seconds; decided once. @throws AppError INFEASIBLE, CONFIG */
function planOf(opened: OpenedModel, costs: readonly CostLimit[], settings: StageSettings): Promise<Plan> {
  const { data, device, recipe, deadline, clock, stages, onNote, onProgress } = settings;
  return stages.once("reach", async () => {
    const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
    const model = trainable(opened.model, images);
    const onMeasured = (done: number, total: number) => onProgress?.({ task: "measuring layers", done, total });
    const reach = await reachOf({ model, costs, device, images, seed: recipe.seed, onMeasured });
    const { reached } = reach;
    for (const limit of reached) onNote(describeReach(limit));
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
    return { ...reach, targets, isQuantized, layers: quantizableLayers(model.graph).length, pace };
  });
}

/** @param share of what is left of the time */
function effortOf(name: StageName, share: number, { layers, pace }: Plan, settings: StageSettings): Promise<SearchEffort> {
  const { deadline, stages, episodes, epochs, baselines } = settings;
  const stage = name === "quantized" ? "quantized" : "pruned";
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
    settings.onNote(`in this time ${planned.episodes} policies are tried; epochs of training what is found: ${planned.epochs}`);
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
  const { data, recipe, tuneLr, baselines, deadline } = settings;
  const { episodes, epochs, sensitivities } = await effortOf(stage, share, plan, settings);
  const [until, searchUntil] = [deadline.until(share), deadline.until(share / 2)];
  return {
    ...commonOptions(settings, stage),
    model: opened.model,
    source: opened.path,
    data,
    episodes,
    sensitivities,
    warmup: Math.ceil(episodes / 4),
    recipe: { ...recipe, lr: tuneLr ?? lrFor(recipe.batchSize, TUNE_LR[stage === "quantized" ? "quantized" : "pruned"]), epochs },
    baselines,
    dir,
    resume,
    ...(until ? { until } : {}),
    ...(searchUntil ? { searchUntil } : {}),
  };
}

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

function quantizeStage(opened: OpenedModel, share: number, plan: Plan, settings: StageSettings): Promise<StageOutcome> {
  const { kinds, device, scheme } = quantizationFor(bearingOnBits(plan.reached, settings.device), settings.device);
  const limitOf = (kind: string) => plan.reached.find((limit) => limit.kind === kind)!.limit;
  return settings.stages.run("quantized", async (at) => {
    const { card, constraints, original, isCancelled } = await runQuantize({
      ...(await searchOptions(opened, share, at, "quantized", plan, settings)),
      device,
      budgets: kinds.map((kind) => ({ kind, quantity: { kind: "absolute", value: limitOf(kind) } })),
      bits: BITS,
      scheme,
      calibration: "mse",
      shortTune: SHORT_TUNE,
    });
    return { stage: "quantized", card, constraints, originalTest: original.test, isCancelled };
  });
}

const areMet = ({ constraints }: StageOutcome): boolean => constraints.every(({ isMet }) => isMet);
/** By which factor the limit that is missed most is missed. */
const missedBy = ({ constraints }: StageOutcome): number => Math.max(...constraints.map(({ value, limit }) => value / limit));

/** Every cost as if bits changed nothing. */
const withFloats = (reached: readonly ReachedLimit[]): ReachedLimit[] =>
  reached.map((limit) => {
    const { pruned } = limit.leverage;
    return { ...limit, leverage: { pruned, eightBits: 1, fewestBits: 1, both: pruned } };
  });

/**
 * Quantisation for this CPU, where integers may not be fast enough: then the original is pruned to the limits with floats, if that can meet
 * them. What could not be met is left as it came out.
 */
async function attemptOnCpu(opened: OpenedModel, pruned: OpenedModel, plan: Plan, settings: StageSettings): Promise<StageOutcome[]> {
  const { stages, onNote, signal } = settings;
  const floats = withFloats(plan.reached);
  const canPrune = floats.every(
    ({ kind, now, limit, leverage }) => !isAlwaysInBits(kind, settings.device) && leverage.pruned * now <= limit,
  );
  const quantized = await stages.once("integers on this cpu", async () => {
    try {
      return await quantizeStage(pruned, canPrune ? SHARES.attempt : 1, plan, settings);
    } catch (error) {
      if (error instanceof AppError && error.code === "INFEASIBLE" && canPrune) return null;
      throw error;
    }
  });
  if (quantized && (areMet(quantized) || !canPrune || signal?.aborted)) return [quantized];
  onNote("integers do not make this network fast enough on this cpu: it is pruned to the limit with floats instead");
  const prune = () => pruneStage("pruned-alone", opened, pruningTargets(floats), 1, plan, settings);
  if (!quantized) return [await prune()];
  const alone = await unlessOutOfReach(prune, settings);
  if (!alone) return [quantized];
  return areMet(alone) || missedBy(alone) < missedBy(quantized) ? [quantized, alone] : [alone, quantized];
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
    outcomes.push(await pruneStage("pruned", opened, targets, isQuantized ? SHARES.pruned : 1, plan, settings));
    current = await openModel(stages.dirOf("pruned"));
  }
  if (!isQuantized || signal?.aborted) return { costs: reached, outcomes };
  const isForCpu = isCpu(device) && quantizationFor(bearingOnBits(reached, device), device).kinds.includes("latency");
  const quantize = async () =>
    isForCpu ? await attemptOnCpu(opened, current, plan, settings) : [await quantizeStage(current, 1, plan, settings)];
  const later = outcomes.length > 0 ? ((await unlessOutOfReach(quantize, settings)) ?? []) : await quantize();
  return { costs: reached, outcomes: [...outcomes, ...later] };
}
