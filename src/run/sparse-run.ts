/** @file `fettle prune --fine-grained`: single weights removed in rounds of search and fine-tuning, stored sparse. */

import { AppError } from "../errors.ts";
import { withEndingOf } from "../graph/ending.ts";
import { requireComputable } from "../graph/opaque.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Model } from "../graph/types.ts";
import { createParameters, exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import { exportOnnx } from "../onnx/export.ts";
import { SPARSE_BYTES_PER_WEIGHT } from "../onnx/sparse.ts";
import { analyse } from "../prune/environment.ts";
import { createSparseEnvironment, magnitudeMask, type SparseLayer, sparseLayers, uniformSparsity } from "../prune/fine-grained.ts";
import { rewardOf } from "../prune/reward.ts";
import { policyKey, searchPolicy } from "../rl/policy-search.ts";
import { valuesOf } from "../tensor/tensor.ts";
import { applyMasks, type WeightMasks } from "../train/mask.ts";
import { systemClock } from "../util/clock.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatBytes, formatPercent, type Quantity } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import {
  accuracyOn,
  CALIBRATION_BATCHES,
  type CompressionOptions,
  calibrationImages,
  fineTune,
  removeCheckpoints,
  trainable,
} from "./compression-steps.ts";
import { deploy } from "./deploy.ts";
import { openRunFolder } from "./folder.ts";
import { clearFolder } from "./replace.ts";
import { requireSameRun } from "./resume.ts";
import { requireBatch } from "./train-run.ts";

export interface SparseOptions extends CompressionOptions {
  /** Limit of the file's size, bytes or a share of the dense file. */
  readonly size: Quantity;
}

export interface SparseRound {
  /** Share of all weights that stay. */
  readonly density: number;
  /** 0…1 on validation images before fine-tuning, by the agent and with every layer alike, and after it. */
  readonly pruned: number;
  readonly uniform: number;
  readonly tuned: number;
  readonly perLayer: readonly { readonly name: string; readonly density: number }[];
}
export interface SparseResult {
  readonly card: Card;
  readonly original: { readonly validation: number; readonly test: number; readonly fileBytes: number };
  readonly rounds: readonly SparseRound[];
  readonly constraint: Constraint;
  readonly isCancelled: boolean;
}

/** The paper's rounds for ResNet-50; below the last, each keeps four fifths of the one before. */
const ROUNDS = [0.5, 0.35, 0.25, 0.2] as const;
const FURTHER = 0.8;
const MOST_REMOVED = 0.95;
const STATISTICS_BATCHES = 2;

/** Densities down to `last`. */
export function densitiesTo(last: number): number[] {
  const rounds: number[] = ROUNDS.filter((density) => density > last);
  for (let next = ROUNDS.at(-1)! * FURTHER; next > last; next *= FURTHER) rounds.push(next);
  return [...rounds, last];
}

/** Trial files written to find the density of a size. */
const TRIALS = 8;
/** Share of the limit that is aimed at: gaps fall differently in every policy. */
const AIM = 0.99;

/** Size of the file with every layer at the same density. */
function trialBytes({ graph, weights }: Model, layers: readonly SparseLayer[], density: number): number {
  const sparse = new Map(weights);
  for (const [i, kept] of uniformSparsity(layers, density).entries()) {
    const { shape, data } = weights.get(layers[i]!.weight)!;
    const mask = magnitudeMask({ shape, data }, kept);
    sparse.set(layers[i]!.weight, { shape, data: data.map((value, at) => value * mask[at]!) });
  }
  return exportOnnx({ graph, weights: sparse }, { sparse: true }).length;
}

/** Above it a sparse weight is larger than a dense one. */
const MOST_DENSE = (0.97 * 4) / SPARSE_BYTES_PER_WEIGHT;

/** The density at which the file has the size of the limit. @throws AppError INFEASIBLE */
function densityFor(limit: number, model: Model, layers: readonly SparseLayer[]): number {
  const weights = layers.reduce((sum, layer) => sum + layer.size, 0);
  const least = 1 - MOST_REMOVED;
  const smallest = trialBytes(model, layers, least);
  if (smallest > AIM * limit) {
    const [nearest, wanted] = [formatBytes(smallest / AIM), formatBytes(limit)];
    throw new AppError("INFEASIBLE", `prune: size must be at least ${nearest} for this network, got a limit of ${wanted} — raise it`);
  }
  let density = MOST_DENSE;
  for (let i = 0; i < TRIALS; i++) {
    const excess = trialBytes(model, layers, density) - AIM * limit;
    if (i === 0 && excess <= 0) break;
    density = Math.max(least, Math.min(MOST_DENSE, density - excess / (SPARSE_BYTES_PER_WEIGHT * weights)));
  }
  return density;
}

/** The weights of `params` with all but the largest `kept` of each layer at zero. */
function masksFor(params: ParameterStore, layers: readonly SparseLayer[], kept: readonly number[]): WeightMasks {
  return new Map(layers.map(({ weight }, i) => [weight, magnitudeMask({ shape: [], data: valuesOf(params.get(weight)) }, kept[i]!)]));
}

/** Prunes in rounds; everything is kept in the run folder. @throws AppError INFEASIBLE, ONNX, STORE */
export async function runSparsePrune(options: SparseOptions): Promise<SparseResult> {
  const { data, source, recipe, dir, config, size, signal, onNote = () => {}, onProgress, clock = systemClock } = options;
  // what later rounds were judged by depends on the training before them
  if (options.resume) requireSameRun(dir, config, []);
  requireComputable(options.model.graph, source);
  if (recipe.epochs > 0) requireBatch(data, recipe.batchSize);
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const model = trainable(options.model, images);
  const { graph } = model;
  const prunable = analyse(graph);
  const layers = sparseLayers(prunable, model);
  const denseBytes = exportOnnx(options.model).length;
  const limit = size.kind === "absolute" ? size.value : size.ratio * denseBytes;
  if (limit >= denseBytes) {
    const [most, least] = [denseBytes, limit].map(formatBytes);
    throw new AppError(
      "CONFIG",
      `prune: the limit must be below what ${source} has now, ${most}, got ${least} — nothing needs to be removed`,
    );
  }
  const densities = densitiesTo(densityFor(limit, model, layers));

  if (!options.resume) clearFolder(dir);
  using folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  using teacher = createParameters(paramSpecs(graph), createRng(0));
  importWeights(teacher, model.weights);
  using params = createParameters(paramSpecs(graph), createRng(0));
  importWeights(params, model.weights);
  const original = {
    validation: accuracyOn(graph, teacher, data, "validation"),
    test: accuracyOn(graph, teacher, data, "test"),
    fileBytes: denseBytes,
  };
  onNote(
    `${graph.name}: ${layers.length} layers, validation ${formatPercent(original.validation)}, limit ${formatBytes(limit)} of ${formatBytes(denseBytes)}`,
  );

  const journal = folder.journal<{ round: number; kept: readonly number[]; accuracy: number }>("judged policies", options.resume === true);
  const decided: number[] = [];
  const rounds: SparseRound[] = [];
  const perLayerOf = (kept: readonly number[]) => layers.map(({ name, size }, k) => ({ name, density: kept[k]! / size }));
  let isCancelled = false;
  for (const [i, density] of densities.entries()) {
    const before = exportWeights(params);
    const score = (kept: readonly number[]): number => {
      importWeights(params, before);
      applyMasks(params, masksFor(params, layers, kept));
      recalibrate(graph, params, images.slice(0, STATISTICS_BATCHES));
      return accuracyOn(graph, params, data, "validation");
    };
    let best = 0;
    const report = createProgress(`searching density ${formatPercent(density)}`, options.episodes, clock, onProgress);
    const found = await searchPolicy({
      environment: createSparseEnvironment({ prunable, layers, density, mostRemoved: MOST_REMOVED }),
      reward: rewardOf(
        "accuracy",
        () => 1,
        () => 1,
      ),
      episodes: options.episodes,
      seed: recipe.seed + i,
      starts: [layers.map(() => 1)],
      agent: { warmup: options.warmup, capacity: 100 * layers.length },
      known: new Map(journal.entries.filter(({ round }) => round === i).map(({ kept, accuracy }) => [policyKey(kept), { accuracy }])),
      evaluate: (kept) => {
        const accuracy = score(kept);
        journal.append({ round: i, kept, accuracy });
        return { accuracy };
      },
      onEpisode: async (event) => {
        folder.log({ type: "episode", ...event, episode: i * options.episodes + event.episode });
        if (event.isBest) best = event.accuracy;
        if (event.isBest && event.isNew) {
          const searched = { density, searchAccuracy: event.accuracy, perLayer: perLayerOf(event.decisions) };
          folder.writeJson("policy.json", { rounds, searched });
        }
        report(event.episode + 1, `best ${formatPercent(best)}, last ${formatPercent(event.accuracy)}`);
        await turnOfOthers();
      },
      ...(signal ? { signal } : {}),
    });
    if (!found) {
      if (i === 0) throw new AppError("NOT_REACHED", "prune: at least one episode must be completed, got none before the interruption");
      importWeights(params, before);
      isCancelled = true;
      break;
    }
    const uniform = score(uniformSparsity(layers, density));
    importWeights(params, before);
    decided.push(...found.decisions);
    const masks = masksFor(params, layers, found.decisions);
    applyMasks(params, masks);
    recalibrate(graph, params, images);
    const name = `density ${formatPercent(density)}`;
    onNote(`${name}: validation ${formatPercent(found.accuracy)} before fine-tuning, with all layers alike ${formatPercent(uniform)}`);
    if (recipe.epochs > 0 && !signal?.aborted)
      await fineTune(options, {
        graph,
        params,
        teacher: options.teacher ?? { graph, params: teacher },
        name,
        decisions: decided,
        folder,
        masks,
      });
    const perLayer = perLayerOf(found.decisions);
    const tuned = accuracyOn(graph, params, data, "validation");
    rounds.push({ density, pruned: found.accuracy, uniform, tuned, perLayer });
    folder.writeJson("policy.json", { rounds });
    onNote(`${name}: validation ${formatPercent(tuned)} after fine-tuning`);
    isCancelled = signal?.aborted === true;
    if (isCancelled) break;
  }
  const card = await deploy({
    graph: withEndingOf(options.model.graph, graph),
    params,
    data,
    folder,
    seed: recipe.seed,
    threads: options.threads,
    sparse: true,
    constraints: ({ fileBytes }) => [
      { name: "size", unit: "bytes", limit, value: fileBytes, obtained: "measured", isMet: fileBytes <= limit },
    ],
  });
  if (!isCancelled) {
    removeCheckpoints(folder);
    folder.finish();
  }
  return { card, original, rounds, constraint: card.constraints[0]!, isCancelled };
}
