/** @file Training a network by a recipe: what `train`, retraining after a search and the demo have in common. */

import type { Augmentation, DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { Graph } from "../graph/types.ts";
import { exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import type { Clock } from "../util/clock.ts";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";
import { createWeightAverage, type WeightAverage } from "./ema.ts";
import { type Evaluation, evaluate } from "./evaluate.ts";
import { type StepEvent, stepsPerEpoch, trainLoop } from "./loop.ts";
import { type WeightMasks, withMasks } from "./mask.ts";
import { createAdam, createSgd, type Optimizer } from "./optimizers.ts";
import { type ScheduleName, schedules } from "./schedules.ts";
import { type Projections, withProjections } from "./shadow.ts";
import { gradientStep, type Teacher } from "./step.ts";

export interface Recipe {
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: "sgd" | "adam";
  readonly schedule: ScheduleName;
  /** Highest learning rate. */
  readonly lr: number;
  readonly weightDecay: number;
  readonly labelSmoothing: number;
  /** Decay of the moving average of weights; 0 for none. */
  readonly ema: number;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
}

/** One-cycle SGD, which trains small networks well in few epochs. */
export const defaultRecipe: Recipe = {
  epochs: 24,
  batchSize: 128,
  optimizer: "sgd",
  schedule: "oneCycle",
  lr: 0.2,
  weightDecay: 5e-4,
  labelSmoothing: 0,
  ema: 0,
  augmentation: { crop: 4, flip: true },
  seed: 0,
};

const FEWEST_STEPS = 16;
const SMALLEST_BATCH = 16;

/** The recipe's images per step, halved for few images until an epoch has 16 steps. */
export function fittingBatch(images: number): number {
  let batch = defaultRecipe.batchSize;
  while (batch > SMALLEST_BATCH && images / batch < FEWEST_STEPS) batch /= 2;
  return batch;
}

/** A learning rate for the recipe's batch, in proportion to a smaller one. Paper: Goyal et al. 2017, arXiv:1706.02677, section 2.1. */
export const lrFor = (batchSize: number, lr: number): number => lr * Math.min(1, batchSize / defaultRecipe.batchSize);

export interface EpochReport {
  readonly epoch: number;
  readonly epochs: number;
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  readonly validation: Evaluation;
  /** Training alone, without the evaluation. */
  readonly seconds: number;
}

export interface RecipeOptions {
  readonly graph: Graph;
  readonly params: ParameterStore;
  readonly data: DataSplits;
  readonly recipe: Recipe;
  readonly teacher?: Teacher;
  /** Weights to hold at zero. */
  readonly masks?: WeightMasks;
  /** Weights that the network sees in a reduced form; an average of weights would leave it. */
  readonly projections?: Projections;
  /** Where to keep a checkpoint after every epoch. */
  readonly checkpointPath?: string;
  /** Go on from the checkpoint. */
  readonly resume?: boolean;
  /** Facts to keep in the checkpoint, by which its owner knows it again. */
  readonly checkpointFacts?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onStep?: (event: StepEvent) => void;
  readonly onEpoch?: (report: EpochReport) => void;
  readonly clock?: Clock;
}

export interface RecipeResult {
  readonly reports: readonly EpochReport[];
  readonly isCancelled: boolean;
}

interface Training {
  readonly optimizer: Optimizer;
  readonly average: WeightAverage | null;
  readonly params: ParameterStore;
}

const withPrefix = (prefix: string, tensors: Iterable<readonly [string, Float32Array]>) =>
  [...tensors].map(([name, data]) => [`${prefix}${name}`, { shape: [data.length], data }] as const);

function checkpointOf(
  { params, optimizer, average }: Training,
  epoch: number,
  reports: readonly EpochReport[],
  facts: Readonly<Record<string, string>>,
): Checkpoint {
  return {
    tensors: new Map([
      ...exportWeights(params),
      ...withPrefix("optimizer:", optimizer.state()),
      ...withPrefix("average:", average?.state() ?? []),
    ]),
    metadata: { ...facts, epoch: String(epoch), reports: JSON.stringify(reports) },
  };
}

function restore({ params, optimizer, average }: Training, { tensors, metadata }: Checkpoint): { epoch: number; reports: EpochReport[] } {
  const part = (prefix: string) =>
    new Map([...tensors].filter(([name]) => name.startsWith(prefix)).map(([name, { data }]) => [name.slice(prefix.length), data]));
  importWeights(params, tensors);
  optimizer.restore(part("optimizer:"));
  average?.restore(part("average:"));
  return { epoch: Number(metadata.epoch), reports: JSON.parse(metadata.reports ?? "[]") as EpochReport[] };
}

/** @throws AppError CONFIG when weights of few bits are to be averaged */
export function requireNoAverage(where: string, { ema }: Pick<Recipe, "ema">): void {
  if (ema > 0) throw new AppError("CONFIG", `${where}: --ema must be 0 with few bits, since an average of codes is no code, got ${ema}`);
}

/**
 * Trains in place; afterwards `params` hold the averaged weights if the recipe asks for an average. Same seed, machine and
 * thread count: same result, also when it was interrupted and resumed at an epoch's end.
 */
export async function trainByRecipe(options: RecipeOptions): Promise<RecipeResult> {
  const { graph, params, data, recipe, checkpointPath, teacher, signal, clock } = options;
  if (options.projections) requireNoAverage("training", recipe);
  const steps = recipe.epochs * stepsPerEpoch(data.train.count, recipe.batchSize);
  const makeOptimizer = { sgd: createSgd, adam: createAdam }[recipe.optimizer];
  const plain = makeOptimizer(params, { weightDecay: recipe.weightDecay });
  const masked = options.masks ? withMasks(plain, params, options.masks) : plain;
  const optimizer = options.projections ? withProjections(masked, params, options.projections) : masked;
  const average = recipe.ema > 0 ? createWeightAverage(params, [...params.specs.keys()], recipe.ema) : null;
  const training: Training = { params, optimizer, average };
  const from = options.resume && checkpointPath ? restore(training, readCheckpoint(checkpointPath)) : { epoch: 0, reports: [] };
  const reports: EpochReport[] = [...from.reports];
  const { isCancelled } = await trainLoop({
    gradients: (_, batch, rng) =>
      gradientStep(graph, params, batch, { labelSmoothing: recipe.labelSmoothing, rng, ...(teacher ? { teacher } : {}) }),
    data,
    epochs: recipe.epochs,
    batchSize: recipe.batchSize,
    optimizer,
    schedule: schedules[recipe.schedule]({ peak: recipe.lr, steps }),
    augmentation: recipe.augmentation,
    seed: recipe.seed,
    firstEpoch: from.epoch,
    ...(average ? { average } : {}),
    ...(signal ? { signal } : {}),
    ...(clock ? { clock } : {}),
    ...(options.onStep ? { onStep: options.onStep } : {}),
    onEpoch: (event) => {
      const validation = withAverage(average, () => evaluate(graph, params, data.validation, { normalisation: data.normalisation }));
      reports.push({ ...event, validation });
      if (checkpointPath) writeCheckpoint(checkpointPath, checkpointOf(training, event.epoch + 1, reports, options.checkpointFacts ?? {}));
      options.onEpoch?.(reports.at(-1)!);
    },
  });
  average?.applied();
  return { reports, isCancelled };
}

function withAverage<T>(average: WeightAverage | null, work: () => T): T {
  if (!average) return work();
  using _averaged = average.applied();
  return work();
}
