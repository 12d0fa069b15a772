/** @file Training a network into a run folder: checkpoints, weights, exported file, card. */
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { readCheckpoint, writeCheckpoint } from "../train/checkpoint.ts";
import type { StepEvent } from "../train/loop.ts";
import { type EpochReport, type Recipe, trainByRecipe } from "../train/recipe.ts";
import { createRng } from "../util/rng.ts";
import type { Card } from "./card.ts";
import { type DeployOptions, deploy } from "./deploy.ts";
import { openRunFolder } from "./folder.ts";

export interface TrainRunOptions {
  /** A reference network's name or a graph. */
  readonly net: string | Graph;
  readonly data: DataSplits;
  readonly recipe: Recipe;
  readonly dir: string;
  /** Written to config.json. */
  readonly config: unknown;
  readonly threads?: number;
  /** Run folder of a teacher. */
  readonly teacherDir?: string;
  readonly resume?: boolean;
  readonly constraints?: DeployOptions["constraints"];
  readonly signal?: AbortSignal;
  readonly onStep?: (event: StepEvent) => void;
  readonly onEpoch?: (report: EpochReport) => void;
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

/** The graph and weights that a run saved. @throws AppError STORE when the folder holds none */
export function loadRun(dir: string): { readonly graph: Graph; readonly params: ParameterStore } {
  const { tensors, metadata } = readCheckpoint(`${dir}/${WEIGHTS}`);
  if (metadata.graph === undefined) throw new AppError("STORE", `run ${dir}: ${WEIGHTS} must name its graph, got none`);
  const graph = JSON.parse(metadata.graph) as Graph;
  const params = createParameters(paramSpecs(graph), createRng(0));
  importWeights(params, tensors);
  return { graph, params };
}

/** Trains, evaluates on the test images and exports; a cancelled training exports what it has. */
export async function trainNetwork(options: TrainRunOptions): Promise<TrainRunResult> {
  const { net, data, recipe, dir, config, teacherDir, signal, onStep, onEpoch, threads = 1, constraints } = options;
  const graph = typeof net === "string" ? buildNetwork(net, { input: data.train.shape, classes: data.train.classes.length }) : net;
  const teacher = teacherDir === undefined ? null : loadRun(teacherDir);
  requireBatch(data, recipe.batchSize);
  using folder = openRunFolder(dir, config);
  using params = createParameters(paramSpecs(graph), createRng(recipe.seed).fork("weights"));
  const { reports, isCancelled } = await trainByRecipe({
    graph,
    params,
    data,
    recipe,
    checkpointPath: folder.path(CHECKPOINT),
    ...(teacher ? { teacher } : {}),
    ...(options.resume ? { resume: true } : {}),
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
