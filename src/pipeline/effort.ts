/** @file How much each stage does: epochs, episodes and samples, by default or planned into a given time. */
import { AppError } from "../errors.ts";

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
/** Batches that a policy of bits is trained on before it is judged. */
export const SHORT_TUNE_STEPS = 20;

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
const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, Math.floor(value)));

/** What a stage may take of the time that is left. */
export interface StageTime {
  readonly leftMs: number;
  readonly share: number;
}

function requireTime({ leftMs, share }: StageTime, leastMs: number): number {
  const timeMs = share * leftMs;
  if (timeMs >= leastMs) return timeMs;
  const [least, left] = [leastMs / share, leftMs].map((ms) => ms / 60_000);
  throw new AppError(
    "INFEASIBLE",
    `optimize: --time must leave about ${Math.ceil(10 * least!) / 10}m for what is to come with these images on this machine, got ${left!.toFixed(1)}m — raise it, or use fewer images with --limit`,
  );
}

/** Pruning or quantisation: half of it searches, half of it trains. @throws AppError INFEASIBLE when it is too little */
export function planSearch(stage: "pruned" | "quantized", time: StageTime, { stepMs, imageMs }: Pace, images: Images): SearchEffort {
  const evaluationMs = imageMs * images.validation * PRUNED_EVALUATION;
  const step = stage === "pruned" ? stepMs : WITH_BITS * stepMs;
  const episodeMs = stage === "pruned" ? evaluationMs : evaluationMs + SHORT_TUNE_STEPS * step;
  const epochMs = images.stepsPerEpoch * (step + (WITH_TEACHER - 1) * stepMs) + imageMs * images.validation;
  const timeMs = requireTime(time, FEWEST_EPISODES * episodeMs + epochMs);
  const episodes = clamp(timeMs / 2 / episodeMs, FEWEST_EPISODES, 2 * DEFAULT_SEARCH.episodes);
  return { episodes, epochs: clamp((timeMs - episodes * episodeMs) / epochMs, 1, 30) };
}

/** Training a supernet and its predictors, by the pace of its largest network. @throws AppError INFEASIBLE */
export function planJoint(time: StageTime, { stepMs, imageMs }: Pace, images: Images): JointEffort {
  const epochMs = images.stepsPerEpoch * SUPERNET_STEP * stepMs;
  const floatMs = SUBNET * imageMs * images.validation * PRUNED_EVALUATION;
  const quantizedMs = SUBNET * (WITH_BITS * PLANNED_TUNE_STEPS * stepMs + imageMs * images.validation * PRUNED_EVALUATION);
  const timeMs = requireTime(time, 4 * epochMs + FEWEST_SAMPLES * (floatMs + quantizedMs));
  const floatSamples = clamp((0.08 * timeMs) / floatMs, FEWEST_SAMPLES, DEFAULT_JOINT.floatSamples);
  const quantizedSamples = clamp((0.17 * timeMs) / quantizedMs, FEWEST_SAMPLES, DEFAULT_JOINT.quantizedSamples);
  const rest = timeMs - floatSamples * floatMs - quantizedSamples * quantizedMs;
  return { epochs: clamp(rest / epochMs, 4, 200), floatSamples, quantizedSamples, tuneSteps: PLANNED_TUNE_STEPS };
}

/** Training a found sub-net with bits; what is there after a search that took longer than planned counts as one epoch. */
export function planTuning({ leftMs, share }: StageTime, { stepMs, imageMs }: Pace, images: Images): number {
  const epochMs = SUBNET * (images.stepsPerEpoch * (WITH_BITS + WITH_TEACHER - 1) * stepMs + imageMs * images.validation);
  return clamp((share * leftMs) / epochMs, 1, 40);
}

/** Searching an architecture and training it, by the pace of the space's largest network. @throws AppError INFEASIBLE */
export function planArchitecture(time: StageTime, { stepMs }: Pace, images: Images): ArchitectureEffort {
  const searchMs = images.stepsPerEpoch * SEARCH_STEP * SUBNET * stepMs;
  const trainMs = images.stepsPerEpoch * SUBNET * stepMs;
  const timeMs = requireTime(time, 4 * searchMs + 2 * trainMs);
  const epochs = clamp(timeMs / 2 / searchMs, 4, 160);
  const warmupEpochs = Math.max(1, Math.floor(epochs / 4));
  return { warmupEpochs, searchEpochs: epochs - warmupEpochs, epochs: clamp((timeMs - epochs * searchMs) / trainMs, 2, 100) };
}
