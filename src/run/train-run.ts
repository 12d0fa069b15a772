/** @file Training a network into a run folder: checkpoints, weights, exported file, card. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { readCheckpoint, writeCheckpoint } from "../train/checkpoint.ts";
import type { StepEvent } from "../train/loop.ts";
import { type EpochReport, type Recipe, trainByRecipe } from "../train/recipe.ts";
import type { Teacher } from "../train/step.ts";
import { finished } from "../util/disposal.ts";
import { createRng } from "../util/rng.ts";
import type { Card } from "./card.ts";
import { type DeployOptions, deploy } from "./deploy.ts";
import { openRunFolder, type RunFolder } from "./folder.ts";
import { clearFolder, requireElsewhere } from "./replace.ts";
import { requireSameRun } from "./resume.ts";

export interface TrainingOptions {
  readonly data: DataSplits;
  readonly recipe: Recipe;
  readonly threads?: number;
  /** Go on with an interrupted training. */
  readonly resume?: boolean;
  readonly constraints?: DeployOptions["constraints"];
  readonly signal?: AbortSignal;
  readonly onStep?: (event: StepEvent) => void;
  readonly onEpoch?: (report: EpochReport) => void;
}

export interface TrainRunOptions extends TrainingOptions {
  /** A reference network's name or a graph. */
  readonly net: string | Graph;
  /** A run that it holds is replaced. */
  readonly dir: string;
  /** Written to config.json. */
  readonly config: unknown;
  /** Run folder of a teacher. */
  readonly teacherDir?: string;
  /** Called when there is something to save. */
  readonly onStart?: () => void;
}

export interface TrainRunResult {
  readonly card: Card;
  readonly reports: readonly EpochReport[];
  readonly isCancelled: boolean;
}

export const WEIGHTS = "weights.safetensors";
/** Whoever interrupts waits for seconds, not for all test images. */
const TEST_IMAGES_IN_A_HURRY = 500;
export const CHECKPOINT = "checkpoint.safetensors";

/** @throws AppError DATA when the training images do not fill one batch */
export function requireBatch({ name, train }: DataSplits, batchSize: number): void {
  if (train.count >= batchSize) return;
  throw new AppError(
    "DATA",
    `data ${name}: training images must fill at least one batch of ${batchSize}, got ${train.count} — use a smaller --batch or more images`,
  );
}

/** The graph and weights that a run saved, to be disposed of. @throws AppError STORE when the folder holds none */
export function loadRun(dir: string): { readonly graph: Graph; readonly params: ParameterStore } & Disposable {
  const { tensors, metadata } = readCheckpoint(join(dir, WEIGHTS));
  if (metadata.graph === undefined) throw new AppError("STORE", `run ${dir}: ${WEIGHTS} must name its graph, got none`);
  const graph = JSON.parse(metadata.graph) as Graph;
  const params = finished(createParameters(paramSpecs(graph), createRng(0)), (made) => importWeights(made, tensors));
  return { graph, params, [Symbol.dispose]: () => params[Symbol.dispose]() };
}

/** Trains in a folder that is open already, from its checkpoint when it is gone on with and has one. */
export async function trainInFolder(
  folder: RunFolder,
  { data, recipe, signal, onStep, onEpoch, threads = 1, constraints, resume = false }: TrainingOptions,
  graph: Graph,
  teacher: Teacher | null,
): Promise<TrainRunResult> {
  using params = createParameters(paramSpecs(graph), createRng(recipe.seed).fork("weights"));
  const checkpointPath = folder.path(CHECKPOINT);
  const { reports, isCancelled } = await trainByRecipe({
    graph,
    params,
    data,
    recipe,
    checkpointPath,
    resume: resume && existsSync(checkpointPath),
    ...(teacher ? { teacher } : {}),
    ...(signal ? { signal } : {}),
    ...(onStep ? { onStep } : {}),
    onEpoch: (report) => {
      folder.log({ type: "epoch", ...report });
      onEpoch?.(report);
    },
  });
  const card = await deploy({
    graph,
    params,
    data,
    folder,
    seed: recipe.seed,
    threads,
    ...(isCancelled ? { testImages: TEST_IMAGES_IN_A_HURRY } : {}),
    ...(constraints ? { constraints } : {}),
  });
  writeCheckpoint(folder.path(WEIGHTS), { tensors: exportWeights(params), metadata: { graph: JSON.stringify(graph) } });
  folder.log({ type: "deployed", accuracy: card.accuracy, latency: card.latency });
  return { card, reports, isCancelled };
}

/** Settings that may differ when a training is gone on with. */
const MAY_DIFFER = ["threads"] as const;

/**
 * Trains, evaluates on the test images and exports; a cancelled training exports what it has.
 * @throws AppError CONFIG, DATA, STORE before anything of a run in `dir` is replaced; BACKEND, ONNX
 */
export async function trainNetwork(options: TrainRunOptions): Promise<TrainRunResult> {
  const { net, data, recipe, dir, config, teacherDir, resume = false } = options;
  const graph = typeof net === "string" ? buildNetwork(net, { input: data.train.shape, classes: data.train.classes.length }) : net;
  using teacher = teacherDir === undefined ? null : loadRun(teacherDir);
  requireBatch(data, recipe.batchSize);
  if (teacherDir !== undefined) requireElsewhere(dir, join(teacherDir, WEIGHTS));
  if (resume) requireSameRun(dir, config, MAY_DIFFER);
  else clearFolder(dir);
  using folder = openRunFolder(dir, config);
  options.onStart?.();
  const result = await trainInFolder(folder, options, graph, teacher);
  if (!result.isCancelled) folder.finish();
  return result;
}
