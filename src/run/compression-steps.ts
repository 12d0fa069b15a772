/** @file Steps that pruning and quantisation share: calibration images, parameters of a model, fine-tuning, a file with the original's interface. */
import { existsSync, rmSync } from "node:fs";
import { calibrationBatches } from "../data/calibration.ts";
import type { DataSplits } from "../data/types.ts";
import { withLogits } from "../graph/ending.ts";
import { withOwnParams } from "../graph/own-params.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph, Model } from "../graph/types.ts";
import { createParameters, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { unfoldBatchNorm } from "../nn/unfold.ts";
import { readCheckpoint } from "../train/checkpoint.ts";
import { evaluate } from "../train/evaluate.ts";
import type { StepEvent } from "../train/loop.ts";
import type { WeightMasks } from "../train/mask.ts";
import { type EpochReport, type Recipe, trainByRecipe } from "../train/recipe.ts";
import type { Projections } from "../train/shadow.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { finished } from "../util/disposal.ts";
import { ensureDir } from "../util/files.ts";
import { createProgress, type OnProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import type { RunFolder } from "./folder.ts";

interface Network {
  readonly graph: Graph;
  readonly params: ParameterStore;
}

/** How a network that was made smaller is trained. */
export interface FineTuneOptions {
  /** Its normalisation must be the one that the model was trained with. */
  readonly data: DataSplits;
  /** Fine-tuning; 0 epochs for none. */
  readonly recipe: Recipe;
  /** What becomes of `recipe`, for all of so many finalists: asked once, of the first network that is to be trained. */
  readonly recipeFor?: (network: Trained, finalists: number, recipe: Recipe) => Promise<Recipe>;
  readonly distillation: boolean;
  /** Whose outputs are learnt (default: those of the network that is made smaller). */
  readonly teacher?: Network;
  /** Go on with an interrupted run. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** When training must end; what it came to counts. */
  readonly until?: AbortSignal;
  readonly onProgress?: OnProgress;
  readonly onNote?: (text: string) => void;
  readonly clock?: Clock;
}

/** What any run that makes a trained model smaller needs to know. */
export interface CompressionOptions extends FineTuneOptions {
  readonly model: Model;
  /** For messages. */
  readonly source: string;
  readonly episodes: number;
  /** Episodes of random actions first. */
  readonly warmup: number;
  /** When the search must end, after one episode at least; what it found is trained all the same. */
  readonly searchUntil?: AbortSignal;
  readonly dir: string;
  readonly config: unknown;
  readonly threads: number;
  /** Called when there is something to save. */
  readonly onStart?: () => void;
}

export const CALIBRATION_BATCHES = 8;
const CALIBRATION_BATCH = 250;

export const calibrationImages = (data: DataSplits, seed: number, count: number): Float32Array[] =>
  calibrationBatches(data, { seed, count, batchSize: CALIBRATION_BATCH });

export function withParameters<T>({ graph, weights }: Model, work: (params: ParameterStore) => T): T {
  const params = finished(createParameters(paramSpecs(graph), createRng(0)), (made) => importWeights(made, weights));
  const done = () => params[Symbol.dispose]();
  let result: T;
  try {
    result = work(params);
  } catch (error) {
    done();
    throw error;
  }
  if (!(result instanceof Promise)) done();
  else return result.finally(done) as T;
  return result;
}

/** The model up to its logits, with batch normalisation to fine-tune. */
export function trainable(model: Model, images: readonly Float32Array[]): Model {
  const training = withOwnParams({ graph: withLogits(model.graph), weights: model.weights });
  return withParameters(training, (params) => unfoldBatchNorm(training, params, images));
}

export const accuracyOn = (graph: Graph, params: ParameterStore, data: DataSplits, set: "validation" | "test"): number =>
  evaluate(graph, params, data[set], { normalisation: data.normalisation }).accuracy;

/** What is trained, and how weights that are reduced are. */
export interface Trained extends Network {
  /** null where there is none to learn from. */
  readonly teacher: Network | null;
  readonly projections?: Projections;
}

export interface FineTuning extends Trained {
  readonly name: string;
  /** What was decided on the way to these weights: a checkpoint of other decisions is not gone on with. */
  readonly decisions: readonly number[];
  readonly folder: RunFolder;
  readonly masks?: WeightMasks;
}

const CHECKPOINTS = "checkpoints";

/** Removes what only an interrupted run needs. */
export const removeCheckpoints = (folder: RunFolder): void => rmSync(folder.path(CHECKPOINTS), { recursive: true, force: true });

/**
 * Trains the smaller network, by default on the original's outputs as well. Keeps a checkpoint of every epoch; a run that is gone on
 * with takes it up again.
 */
export function fineTune(
  { data, recipe, distillation, resume, signal, until, onProgress, clock = systemClock }: FineTuneOptions,
  { graph, params, teacher, name, decisions, folder, masks, projections }: FineTuning,
): Promise<{ readonly isCancelled: boolean }> {
  ensureDir(folder.path(CHECKPOINTS));
  const checkpointPath = folder.path(`${CHECKPOINTS}/${name.replaceAll(/[^a-z0-9]+/g, "-")}.safetensors`);
  const key = JSON.stringify({ decisions, recipe, distillation });
  const isBegun = resume === true && existsSync(checkpointPath) && readCheckpoint(checkpointPath).metadata.key === key;
  let report: ((done: number, message?: string) => void) | null = null;
  let latest = "";
  const onStep = ({ step, steps }: StepEvent) => {
    report ??= createProgress(`fine-tuning ${name}`, steps, clock, onProgress);
    report(step + 1, latest);
  };
  const onEpoch = (event: EpochReport) => {
    latest = `epoch ${event.epoch + 1}: validation ${formatPercent(event.validation.accuracy)}`;
    folder.log({ type: "fine-tuning", policy: name, ...event });
  };
  return trainByRecipe({
    graph,
    params,
    data,
    recipe,
    checkpointPath,
    checkpointFacts: { key },
    ...(isBegun ? { resume: true } : {}),
    ...(distillation && teacher ? { teacher } : {}),
    ...(masks ? { masks } : {}),
    ...(projections ? { projections } : {}),
    signal: AbortSignal.any([signal, until].filter((one) => one !== undefined)),
    onStep,
    onEpoch,
  });
}
