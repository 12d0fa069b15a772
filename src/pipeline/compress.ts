/** @file A trained model made smaller: channels by AMC, then bits by HAQ, each as far as the limits ask for. */
import { AppError } from "../errors.ts";
import { analyse } from "../prune/environment.ts";
import { CALIBRATION_BATCHES, calibrationImages, trainable } from "../run/compression-steps.ts";
import { type OpenedModel, openModel } from "../run/model-file.ts";
import type { PruneLimitOptions } from "../run/prune-limits.ts";
import { runPrune } from "../run/prune-run.ts";
import { runQuantize } from "../run/quantize-run.ts";
import { DEFAULT_SEARCH, type Pace, planSearch, type SearchEffort, SHORT_TUNE_STEPS } from "./effort.ts";
import type { CostLimit } from "./limits.ts";
import { measurePace } from "./pace.ts";
import { BITS, describeReach, LOWEST_DENSITY, pruningTargets, quantizationFor, type ReachedLimit, reachOf, requireReach } from "./reach.ts";
import { commonOptions, imagesOf, type Route, type StageOutcome, type StageSettings } from "./settings.ts";
import type { StageAt, StageName } from "./stages.ts";

interface Plan {
  readonly reached: readonly ReachedLimit[];
  /** null without a limited time. */
  readonly pace: Pace | null;
}

/** Feasibility, in seconds; decided once. @throws AppError INFEASIBLE, CONFIG */
function planOf(opened: OpenedModel, costs: readonly CostLimit[], settings: StageSettings): Promise<Plan> {
  const { data, device, recipe, deadline, clock, stages, onNote } = settings;
  return stages.once("reach", async () => {
    const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
    const model = trainable(opened.model, images);
    if (analyse(model.graph).groups.length === 0)
      throw new AppError("INFEASIBLE", `optimize: ${opened.path} must have channels that can be removed, got none — use fettle quantize`);
    const reached = await reachOf({ model, costs, device, images, seed: recipe.seed });
    for (const limit of reached) onNote(describeReach(limit));
    for (const limit of reached) requireReach(limit);
    return { reached, pace: deadline.leftMs() === null ? null : measurePace(model.graph, data, recipe.batchSize, clock) };
  });
}

/** @param share of what is left of the time */
function effortOf(stage: "pruned" | "quantized", share: number, { pace }: Plan, settings: StageSettings): Promise<SearchEffort> {
  const { deadline, stages, episodes, epochs } = settings;
  return stages.once(`effort of ${stage}`, async () => {
    const left = deadline.leftMs();
    const planned = pace && left !== null ? planSearch(stage, { leftMs: left, share }, pace, imagesOf(settings)) : DEFAULT_SEARCH;
    return { episodes: episodes ?? planned.episodes, epochs: epochs ?? planned.epochs };
  });
}

function searchOptions(
  opened: OpenedModel,
  effort: SearchEffort,
  share: number,
  { dir, resume }: StageAt,
  stage: StageName,
  settings: StageSettings,
) {
  const { data, recipe, baselines } = settings;
  return {
    ...commonOptions(settings, stage, share),
    model: opened.model,
    source: opened.path,
    data,
    episodes: effort.episodes,
    warmup: Math.ceil(effort.episodes / 4),
    recipe: { ...recipe, epochs: effort.epochs },
    baselines,
    dir,
    resume,
  };
}

async function pruneStage(
  stage: "pruned" | "pruned-alone",
  opened: OpenedModel,
  budgets: PruneLimitOptions["budgets"],
  effort: SearchEffort,
  share: number,
  settings: StageSettings,
): Promise<StageOutcome> {
  return settings.stages.run(stage, async (at) => {
    const { card, constraints, original, isCancelled } = await runPrune({
      ...searchOptions(opened, effort, share, at, stage, settings),
      device: settings.device,
      budgets,
      reward: "accuracy",
      step: "device",
      lowest: LOWEST_DENSITY,
    });
    return { stage, card, constraints, originalTest: original.test, isCancelled };
  });
}

async function quantizeStage(
  opened: OpenedModel,
  { reached }: Plan,
  effort: SearchEffort,
  share: number,
  settings: StageSettings,
): Promise<StageOutcome> {
  const { kinds, device, scheme } = quantizationFor(reached, settings.device);
  const limitOf = (kind: string) => reached.find((limit) => limit.kind === kind)!.limit;
  return settings.stages.run("quantized", async (at) => {
    const { card, constraints, original, isCancelled } = await runQuantize({
      ...searchOptions(opened, effort, share, at, "quantized", settings),
      device,
      budgets: kinds.map((kind) => ({ kind, quantity: { kind: "absolute", value: limitOf(kind) } })),
      bits: BITS,
      scheme,
      calibration: "mse",
      shortTune: { steps: SHORT_TUNE_STEPS, lr: 0.002 },
    });
    return { stage: "quantized", card, constraints, originalTest: original.test, isCancelled };
  });
}

/** Outcome of the quantisation; null when integers cannot make the model fast enough on this CPU. */
async function attemptOnCpu(quantize: () => Promise<StageOutcome>): Promise<StageOutcome | null> {
  try {
    const outcome = await quantize();
    const isMissed = outcome.constraints.some(({ name, isMet }) => name === "latency" && !isMet);
    return isMissed && !outcome.isCancelled ? null : outcome;
  } catch (error) {
    if (error instanceof AppError && error.code === "INFEASIBLE") return null;
    throw error;
  }
}

/**
 * Runs the stages that the limits need, in order; none when the model meets them as it is.
 * @throws AppError INFEASIBLE before anything is searched; CONFIG, ONNX, STORE
 */
export async function compress(opened: OpenedModel, costs: readonly CostLimit[], settings: StageSettings): Promise<Route> {
  const { device, stages, signal, onNote } = settings;
  const plan = await planOf(opened, costs, settings);
  const route = (outcomes: readonly StageOutcome[]): Route => ({ costs: plan.reached, outcomes });
  const targets = pruningTargets(plan.reached);
  const isQuantized = quantizationFor(costs, device).kinds.length > 0 && plan.reached.some(({ limit, now }) => limit < now);
  const outcomes: StageOutcome[] = [];
  let current = opened;
  if (targets.length > 0) {
    const share = isQuantized ? 1 / 2 : 1;
    const outcome = await pruneStage("pruned", opened, targets, await effortOf("pruned", share, plan, settings), share, settings);
    outcomes.push(outcome);
    current = { ...(await openModel(stages.dirOf("pruned"))), trainedWith: opened.trainedWith };
  }
  if (!isQuantized || signal?.aborted) return route(outcomes);
  const effort = await effortOf("quantized", 1, plan, settings);
  const quantize = () => quantizeStage(current, plan, effort, 1, settings);
  const quantized = device.kind === "measured" ? await attemptOnCpu(quantize) : await quantize();
  if (quantized) return route([...outcomes, quantized]);
  onNote("integers do not make this network fast enough on this CPU: it is pruned to the limit with floats instead");
  const floats = pruningTargets(plan.reached.map((limit) => ({ ...limit, leverage: { ...limit.leverage, eightBits: 1, fewestBits: 1 } })));
  return route([...outcomes, await pruneStage("pruned-alone", opened, floats, effort, 1, settings)]);
}
