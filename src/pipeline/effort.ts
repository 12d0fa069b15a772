/** @file How much each stage does: epochs, episodes and samples, by default or planned into a given time. */
import { AppError } from "../errors.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";

/** Of one network at one batch size, on this machine. */
export interface Pace {
  /** One training step of a batch. */
  readonly stepMs: number;
  /** Evaluation of one image. */
  readonly imageMs: number;
}

export interface Images {
  readonly stepsPerEpoch: number;
  readonly validation: number;
}

/** One search by reinforcement learning with the training of what it found. */
export interface SearchEffort {
  readonly episodes: number;
  readonly epochs: number;
}
export interface JointEffort {
  /** Of the supernet, over all its stages. */
  readonly epochs: number;
  readonly floatSamples: number;
  readonly quantizedSamples: number;
  /** Batches that each of those is trained on before it is judged. */
  readonly tuneSteps: number;
}
export interface ArchitectureEffort {
  readonly warmupEpochs: number;
  readonly searchEpochs: number;
  /** Of the found network from scratch. */
  readonly epochs: number;
}

export const DEFAULT_SEARCH: SearchEffort = { episodes: 200, epochs: 8 };
export const DEFAULT_JOINT: JointEffort = { epochs: 40, floatSamples: 400, quantizedSamples: 300, tuneSteps: 30 };
/** The same where time is short: more samples teach the predictor more than longer training of each. */
const PLANNED_TUNE_STEPS = 10;
export const DEFAULT_ARCHITECTURE: ArchitectureEffort = { warmupEpochs: 4, searchEpochs: 12, epochs: 24 };
/** Training of a sub-net that the joint search found. */
export const DEFAULT_TUNE_EPOCHS = 12;

// Factors on a plain training step or evaluation, as measured on CIFAR-10 with ResNet-20 and MobileNet blocks.
const WITH_TEACHER = 1.35;
const WITH_BITS = 1.8;
/** Reconstruction and statistics beside the evaluation of a pruned network. */
const PRUNED_EVALUATION = 1.5;
/** A step of the supernet's stages on average, beside one of its largest network: two sub-nets, and the teacher. */
const SUPERNET_STEP = 1.45;
/** Sub-nets are smaller than the largest. */
const SUBNET = 0.65;
/** The search trains sampled paths and the architecture in turn. */
const SEARCH_STEP = 2.2;

const FEWEST_EPISODES = 10;
/** Sub-nets that are judged before one is chosen. */
const JUDGED = 8;
const FEWEST_SAMPLES = 24;
/** One for every stage of the shrinking, two for the first. */
const FEWEST_SUPERNET_EPOCHS = 5;
const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, Math.floor(value)));

/** @throws AppError INFEASIBLE when what is left is less than the least that is to be done in it */
export function requireTime(leftMs: number, leastMs: number): void {
  if (leftMs >= leastMs) return;
  const [least, left] = [leastMs, leftMs].map((ms) => ms / 60_000);
  throw new AppError(
    "INFEASIBLE",
    `optimize: --time must leave about ${Math.ceil(10 * least!) / 10}m for what is to come with these images on this machine, got ${left!.toFixed(1)}m — raise it, or use fewer images with --limit`,
  );
}

export type SearchStage = "pruned" | "quantized";

function searchCosts(stage: SearchStage, { stepMs, imageMs }: Pace, images: Images) {
  const evaluationMs = imageMs * images.validation * PRUNED_EVALUATION;
  const step = stage === "pruned" ? stepMs : WITH_BITS * stepMs;
  return {
    episodeMs: stage === "pruned" ? evaluationMs : evaluationMs + SHORT_TUNE.steps * step,
    epochMs: images.stepsPerEpoch * (step + (WITH_TEACHER - 1) * stepMs) + imageMs * images.validation,
  };
}

/** What pruning or quantisation takes, with one policy trained. */
export function searchTakesMs(stage: SearchStage, { episodes, epochs }: SearchEffort, pace: Pace, images: Images): number {
  const { episodeMs, epochMs } = searchCosts(stage, pace, images);
  return episodes * episodeMs + epochs * epochMs;
}

/** The least that pruning or quantisation takes. */
export const leastSearchMs = (stage: SearchStage, pace: Pace, images: Images): number =>
  searchTakesMs(stage, { episodes: FEWEST_EPISODES, epochs: 1 }, pace, images);

/**
 * Pruning or quantisation in `timeMs`, or the least: half of it searches, the rest trains.
 * @param given what the user wants of it @param finalists policies that are trained alike
 */
export function planSearch(
  stage: SearchStage,
  timeMs: number,
  pace: Pace,
  images: Images,
  { given = {}, finalists = 1 }: { readonly given?: Partial<SearchEffort>; readonly finalists?: number } = {},
): SearchEffort {
  const { episodeMs, epochMs } = searchCosts(stage, pace, images);
  const searchMs = Math.min(timeMs / 2, timeMs - finalists * epochMs);
  const episodes = given.episodes ?? clamp(searchMs / episodeMs, FEWEST_EPISODES, 2 * DEFAULT_SEARCH.episodes);
  return { episodes, epochs: given.epochs ?? clamp((timeMs - episodes * episodeMs) / finalists / epochMs, 1, 30) };
}

function jointCosts({ stepMs, imageMs }: Pace, images: Images) {
  const evaluationMs = SUBNET * imageMs * images.validation * PRUNED_EVALUATION;
  return {
    epochMs: images.stepsPerEpoch * SUPERNET_STEP * stepMs,
    floatMs: evaluationMs,
    quantizedMs: SUBNET * WITH_BITS * PLANNED_TUNE_STEPS * stepMs + evaluationMs,
  };
}

/** What a supernet and its predictors take. */
export function jointTakesMs(
  { epochs, floatSamples, quantizedSamples }: Omit<JointEffort, "tuneSteps">,
  pace: Pace,
  images: Images,
): number {
  const { epochMs, floatMs, quantizedMs } = jointCosts(pace, images);
  return epochs * epochMs + floatSamples * floatMs + quantizedSamples * quantizedMs;
}

/** The least that a supernet and its predictors take. */
export const leastJointMs = (pace: Pace, images: Images): number =>
  jointTakesMs({ epochs: FEWEST_SUPERNET_EPOCHS, floatSamples: FEWEST_SAMPLES, quantizedSamples: FEWEST_SAMPLES }, pace, images);

/** Training a supernet and its predictors in `timeMs`, or the least, by the pace of its largest network. */
export function planJoint(timeMs: number, pace: Pace, images: Images): JointEffort {
  const { epochMs, floatMs, quantizedMs } = jointCosts(pace, images);
  // as long as the supernet gets its fewest epochs
  const samplesMs = Math.min(0.25 * timeMs, timeMs - FEWEST_SUPERNET_EPOCHS * epochMs);
  const fewestMs = FEWEST_SAMPLES * (floatMs + quantizedMs);
  const moreMs = Math.max(0, samplesMs - fewestMs);
  const floatSamples = clamp(FEWEST_SAMPLES + (0.3 * moreMs) / floatMs, FEWEST_SAMPLES, DEFAULT_JOINT.floatSamples);
  const quantizedSamples = clamp(FEWEST_SAMPLES + (0.7 * moreMs) / quantizedMs, FEWEST_SAMPLES, DEFAULT_JOINT.quantizedSamples);
  const rest = timeMs - floatSamples * floatMs - quantizedSamples * quantizedMs;
  return { epochs: clamp(rest / epochMs, FEWEST_SUPERNET_EPOCHS, 200), floatSamples, quantizedSamples, tuneSteps: PLANNED_TUNE_STEPS };
}

const tuningEpochMs = ({ stepMs, imageMs }: Pace, { stepsPerEpoch, validation }: Images): number =>
  SUBNET * (stepsPerEpoch * (WITH_BITS + WITH_TEACHER - 1) * stepMs + imageMs * validation);

/** The least that the choice of a sub-net takes: judging the best as predicted, and one epoch. */
export const leastTuningMs = (pace: Pace, images: Images): number =>
  JUDGED * jointCosts(pace, images).quantizedMs + tuningEpochMs(pace, images);

/** Training a found sub-net with bits in `timeMs`, or one epoch. */
export const planTuning = (timeMs: number, pace: Pace, images: Images): number => clamp(timeMs / tuningEpochMs(pace, images), 1, 40);

function architectureCosts({ stepMs }: Pace, images: Images) {
  return { searchMs: images.stepsPerEpoch * SEARCH_STEP * SUBNET * stepMs, trainMs: images.stepsPerEpoch * SUBNET * stepMs };
}

/** What the search for an architecture and its training take. */
export function architectureTakesMs({ warmupEpochs, searchEpochs, epochs }: ArchitectureEffort, pace: Pace, images: Images): number {
  const { searchMs, trainMs } = architectureCosts(pace, images);
  return (warmupEpochs + searchEpochs) * searchMs + epochs * trainMs;
}

/** The least that the search for an architecture and its training take. */
export const leastArchitectureMs = (pace: Pace, images: Images): number =>
  architectureTakesMs({ warmupEpochs: 1, searchEpochs: 3, epochs: 2 }, pace, images);

/** Searching an architecture and training it in `timeMs`, or the least, by the pace of the space's largest network. */
export function planArchitecture(timeMs: number, pace: Pace, images: Images): ArchitectureEffort {
  const { searchMs, trainMs } = architectureCosts(pace, images);
  const epochs = clamp(Math.min(timeMs / 2, timeMs - 2 * trainMs) / searchMs, 4, 160);
  const warmupEpochs = Math.max(1, Math.floor(epochs / 4));
  return { warmupEpochs, searchEpochs: epochs - warmupEpochs, epochs: clamp((timeMs - epochs * searchMs) / trainMs, 2, 100) };
}
