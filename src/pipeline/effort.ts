/** @file How much each stage does: epochs, episodes and samples, by default or planned into a given time. */
import { AppError } from "../errors.ts";
import type { Stage as SupernetStage } from "../joint/stages.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import { JUDGED } from "../run/joint-search-options.ts";
import { JUDGED_IMAGES, SENSITIVITY_IMAGES } from "../run/quantized-policies.ts";

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
  /** Whether quantisation begins with bits by sensitivity. */
  readonly sensitivities: boolean;
}
export interface JointEffort {
  /** Of the supernet, over all its stages. */
  readonly epochs: number;
  readonly floatSamples: number;
  readonly quantizedSamples: number;
  /** Batches that each of those is trained on before it is judged. */
  readonly tuneSteps: number;
  /** Validation images that each sample is judged on, at most. */
  readonly sampleImages: number;
}
export interface ArchitectureEffort {
  readonly warmupEpochs: number;
  readonly searchEpochs: number;
  /** Of the found network from scratch. */
  readonly epochs: number;
}

/** So many epochs, of a small set so many more that it comes to as many steps at least. */
const epochsOf = (epochs: number, leastSteps: number, { stepsPerEpoch }: Images): number =>
  Math.max(epochs, Math.ceil(leastSteps / stepsPerEpoch));

/** Without a given time. */
export const defaultSearch = (images: Images): SearchEffort => ({
  episodes: 200,
  epochs: epochsOf(8, 400, images),
  sensitivities: true,
});
/** @param withBits whether the device computes with few bits, else no sub-nets with bits are needed */
export const defaultJoint = (images: Images, withBits: boolean): JointEffort => ({
  epochs: epochsOf(40, 4000, images),
  floatSamples: 400,
  quantizedSamples: withBits ? 300 : 0,
  tuneSteps: SHORT_TUNE.steps,
  sampleImages: images.validation,
});
export const defaultArchitecture = (images: Images): ArchitectureEffort => ({
  warmupEpochs: epochsOf(4, 400, images),
  searchEpochs: epochsOf(12, 1200, images),
  epochs: epochsOf(24, 2400, images),
});
/** Training of a sub-net that the joint search found. */
export const defaultTuneEpochs = (images: Images): number => epochsOf(12, 600, images);

/** Where time is short: more samples teach the predictor more than longer training, or more images, of each. */
const PLANNED = { tuneSteps: 10, sampleImages: 2000 } as const;

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
const FEWEST_SAMPLES = 24;
/** One for every stage of the shrinking, two for the first. */
const FEWEST_SUPERNET_EPOCHS = 5;
const MOST_EPISODES = 400;
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

/** Numbers of bits that one layer is tried at on both sides, and images for each with those for statistics: what MobileNets took. */
const SENSITIVITY = { trials: 7, images: SENSITIVITY_IMAGES + 250 } as const;
/** Sensitivities are measured where they take at most this share of the time. */
const SENSITIVITY_SHARE = 0.2;

/** What measuring the sensitivities of so many layers takes. */
const sensitivitiesTakeMs = (layers: number, { imageMs }: Pace): number =>
  layers * SENSITIVITY.trials * SENSITIVITY.images * imageMs * PRUNED_EVALUATION;

function searchCosts(stage: SearchStage, { stepMs, imageMs }: Pace, images: Images) {
  const judged = stage === "pruned" ? images.validation : Math.min(JUDGED_IMAGES, images.validation);
  const evaluationMs = imageMs * judged * PRUNED_EVALUATION;
  const step = stage === "pruned" ? stepMs : WITH_BITS * stepMs;
  return {
    episodeMs: stage === "pruned" ? evaluationMs : evaluationMs + SHORT_TUNE.steps * step,
    epochMs: images.stepsPerEpoch * (step + (WITH_TEACHER - 1) * stepMs) + imageMs * images.validation,
  };
}

/** What pruning or quantisation takes, with one policy trained. */
export function searchTakesMs(
  stage: SearchStage,
  { episodes, epochs }: Pick<SearchEffort, "episodes" | "epochs">,
  pace: Pace,
  images: Images,
): number {
  const { episodeMs, epochMs } = searchCosts(stage, pace, images);
  return episodes * episodeMs + epochs * epochMs;
}

/** The least that pruning or quantisation takes. */
export const leastSearchMs = (stage: SearchStage, pace: Pace, images: Images): number =>
  searchTakesMs(stage, { episodes: FEWEST_EPISODES, epochs: 1 }, pace, images);

/**
 * Pruning or quantisation in `allMs`, or the least: half of it searches, the rest trains.
 * @param given what the user wants of it @param finalists policies that are trained alike @param layers whose bits are to be found
 */
export function planSearch(
  stage: SearchStage,
  allMs: number,
  pace: Pace,
  images: Images,
  {
    given = {},
    finalists = 1,
    layers = 0,
  }: { readonly given?: Partial<SearchEffort>; readonly finalists?: number; readonly layers?: number } = {},
): SearchEffort {
  const { episodeMs, epochMs } = searchCosts(stage, pace, images);
  const sensitivitiesMs = sensitivitiesTakeMs(layers, pace);
  const sensitivities = sensitivitiesMs <= SENSITIVITY_SHARE * allMs;
  const timeMs = allMs - (sensitivities ? sensitivitiesMs : 0);
  const searchMs = Math.min(timeMs / 2, timeMs - finalists * epochMs);
  const episodes = given.episodes ?? clamp(searchMs / episodeMs, FEWEST_EPISODES, MOST_EPISODES);
  const most = epochsOf(30, 3000, images);
  return { sensitivities, episodes, epochs: given.epochs ?? clamp((timeMs - episodes * episodeMs) / finalists / epochMs, 1, most) };
}

function jointCosts({ stepMs, imageMs }: Pace, images: Images) {
  const evaluationMs = SUBNET * imageMs * Math.min(PLANNED.sampleImages, images.validation) * PRUNED_EVALUATION;
  return {
    epochMs: images.stepsPerEpoch * SUPERNET_STEP * stepMs,
    floatMs: evaluationMs,
    quantizedMs: SUBNET * WITH_BITS * PLANNED.tuneSteps * stepMs + evaluationMs,
  };
}

/** What a supernet and its predictors take. */
export function jointTakesMs(
  { epochs, floatSamples, quantizedSamples }: Pick<JointEffort, "epochs" | "floatSamples" | "quantizedSamples">,
  pace: Pace,
  images: Images,
): number {
  const { epochMs, floatMs, quantizedMs } = jointCosts(pace, images);
  return epochs * epochMs + floatSamples * floatMs + quantizedSamples * quantizedMs;
}

/** The least that a supernet and its predictors take. */
export const leastJointMs = (pace: Pace, images: Images, withBits: boolean): number =>
  jointTakesMs(
    { epochs: FEWEST_SUPERNET_EPOCHS, floatSamples: FEWEST_SAMPLES, quantizedSamples: withBits ? FEWEST_SAMPLES : 0 },
    pace,
    images,
  );

/** Shares of the time for samples beyond the fewest: those with bits need more. */
const SAMPLE_SHARES = { floatsAlone: { float: 1, quantized: 0 }, withBits: { float: 0.3, quantized: 0.7 } } as const;

/** Training a supernet and its predictors in `timeMs`, or the least, by the pace of its largest network. */
export function planJoint(timeMs: number, pace: Pace, images: Images, withBits: boolean): JointEffort {
  const { epochMs, floatMs, quantizedMs } = jointCosts(pace, images);
  const most = defaultJoint(images, withBits);
  const fewestQuantized = withBits ? FEWEST_SAMPLES : 0;
  // as long as the supernet gets its fewest epochs
  const samplesMs = Math.min(0.2 * timeMs, timeMs - FEWEST_SUPERNET_EPOCHS * epochMs);
  const moreMs = Math.max(0, samplesMs - FEWEST_SAMPLES * floatMs - fewestQuantized * quantizedMs);
  const share = SAMPLE_SHARES[withBits ? "withBits" : "floatsAlone"];
  const floatSamples = clamp(FEWEST_SAMPLES + (share.float * moreMs) / floatMs, FEWEST_SAMPLES, most.floatSamples);
  const quantizedSamples = clamp(fewestQuantized + (share.quantized * moreMs) / quantizedMs, fewestQuantized, most.quantizedSamples);
  const rest = timeMs - floatSamples * floatMs - quantizedSamples * quantizedMs;
  const epochs = clamp(rest / epochMs, FEWEST_SUPERNET_EPOCHS, epochsOf(200, 20_000, images));
  return { epochs, floatSamples, quantizedSamples, ...PLANNED };
}

/** Epochs of a supernet's stage by how much longer or shorter than all on average its steps are. */
const STAGE_STEPS: Readonly<Record<SupernetStage["name"], number>> = { full: 1.05, kernel: 1.18, depth: 1.44, width: 1.95 };

/** What stages of a supernet take. */
export const stagesTakeMs = (stages: readonly SupernetStage[], { stepMs }: Pace, { stepsPerEpoch }: Images): number =>
  stages.reduce((sum, { name, epochs }) => sum + epochs * stepsPerEpoch * STAGE_STEPS[name] * stepMs, 0);

const tuningEpochMs = ({ stepMs, imageMs }: Pace, { stepsPerEpoch, validation }: Images, withBits: boolean): number =>
  SUBNET * (stepsPerEpoch * ((withBits ? WITH_BITS : 1) + WITH_TEACHER - 1) * stepMs + imageMs * validation);

/** The least that the choice of a sub-net takes: judging the best as predicted, and one epoch. */
export function leastTuningMs(pace: Pace, images: Images, withBits: boolean): number {
  const { floatMs, quantizedMs } = jointCosts(pace, images);
  return JUDGED * (withBits ? quantizedMs : floatMs) + tuningEpochMs(pace, images, withBits);
}

/** A course of learning rates that is cut off near its end has lost most of what it is for: steps may turn out so much slower. */
const TUNE_ROOM = 0.95;

/** Epochs of training one network in `timeMs`, or one: by its own pace, with teacher and bits. */
export const planTuning = (timeMs: number, { stepMs, imageMs }: Pace, images: Images): number =>
  clamp((TUNE_ROOM * timeMs) / (images.stepsPerEpoch * stepMs + images.validation * imageMs), 1, epochsOf(40, 4000, images));

/** Of a stage, beside training: the file is written, checked and timed, and test images evaluated before and after. */
const ENDING = { fixedMs: 5000, testEvaluations: 2 } as const;
export const endingMs = ({ imageMs }: Pace, testImages: number): number => ENDING.fixedMs + ENDING.testEvaluations * testImages * imageMs;

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
  const epochs = clamp(Math.min(timeMs / 2, timeMs - 2 * trainMs) / searchMs, 4, epochsOf(160, 8000, images));
  const warmupEpochs = Math.max(1, Math.floor(epochs / 4));
  return {
    warmupEpochs,
    searchEpochs: epochs - warmupEpochs,
    epochs: clamp((timeMs - epochs * searchMs) / trainMs, 2, epochsOf(100, 10_000, images)),
  };
}
