/** @file Networks drawn from the learnt probabilities within the budget, put in order by their accuracy with the supernet's weights. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { batches } from "../data/batches.ts";
import type { DataSplits } from "../data/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import type { Architecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph } from "../space/graphs.ts";
import { evaluateBatch } from "../train/evaluate.ts";
import type { Rng } from "../util/rng.ts";
import { type CostTable, costOf } from "./costs.ts";
import { mostProbableWithin } from "./derive.ts";

/** Draws that cost at least this share of the budget come first: what is left over is accuracy given away. */
const LEAST_SHARE = 0.9;
const DRAWS_PER_CANDIDATE = 200;
const BATCH = 250;
/** In each round the best so far are judged by more images. */
const ROUNDS = [
  { images: 500, kept: 16 },
  { images: 2000, kept: 4 },
  { images: Number.POSITIVE_INFINITY, kept: 1 },
] as const;

function draw(p: Float64Array, rng: Rng): number {
  let left = rng.uniform();
  for (let i = 0; i < p.length - 1; i++) {
    left -= p[i]!;
    if (left < 0) return i;
  }
  return p.length - 1;
}

/**
 * The most probable architecture within the budget and others drawn by probability, all different: those that use the budget, and where
 * they are too few the dearest of the rest; fewer where the budget allows few.
 */
export function drawWithin(
  probabilities: readonly Float64Array[],
  table: CostTable,
  budget: number,
  count: number,
  rng: Rng,
): Architecture[] {
  const first = mostProbableWithin(probabilities, table, budget);
  const found = new Map(first ? [[first.join(), first]] : []);
  const cheaper = new Map<string, { readonly architecture: Architecture; readonly cost: number }>();
  for (let i = 0; i < DRAWS_PER_CANDIDATE * count && found.size < count; i++) {
    const architecture = probabilities.map((p) => draw(p, rng));
    const cost = costOf(table, architecture);
    const key = architecture.join();
    if (cost > budget || found.has(key)) continue;
    if (cost >= LEAST_SHARE * budget) found.set(key, architecture);
    else cheaper.set(key, { architecture, cost });
  }
  const rest = [...cheaper.values()].sort((a, b) => b.cost - a.cost).map(({ architecture }) => architecture);
  return [...found.values(), ...rest].slice(0, Math.max(count, found.size));
}

/** Share of images classified as labelled, with statistics of each batch; every network sees the same batches. */
function accuracyWith(architecture: Architecture, images: number, { space, params, data, rng }: Ranking): number {
  const graph = architectureGraph(space, architecture);
  const { validation, normalisation } = data;
  const batchSize = Math.min(BATCH, validation.count);
  const order = { batchSize, normalisation, augmentation: null, rng, epoch: 0, shuffle: true, dropLast: true };
  let [correct, seen] = [0, 0];
  for (const batch of batches(validation, order)) {
    correct += evaluateBatch(graph, params, batch, "batch").correct;
    seen += batch.size;
    if (seen >= images) break;
  }
  return correct / seen;
}

export interface Ranking {
  readonly space: SpaceDescription;
  readonly params: ParameterStore;
  readonly data: DataSplits;
  readonly rng: Rng;
  /** Leaves the order as it is by then. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** The architectures, the most accurate first; those that fell out earlier come after. */
export async function rankByAccuracy(architectures: readonly Architecture[], ranking: Ranking): Promise<Architecture[]> {
  const { signal, onProgress } = ranking;
  let leading = [...architectures];
  const fallen: Architecture[] = [];
  const total = ROUNDS.reduce((sum, _, r) => sum + Math.min(leading.length, ROUNDS[r - 1]?.kept ?? leading.length), 0);
  let done = 0;
  for (const { images, kept } of ROUNDS) {
    const accuracies = new Map<Architecture, number>();
    for (const one of leading) {
      if (signal?.aborted) return [...leading, ...fallen];
      accuracies.set(one, accuracyWith(one, images, ranking));
      onProgress?.(++done, total);
      await nextTurn();
    }
    leading.sort((a, b) => accuracies.get(b)! - accuracies.get(a)!);
    fallen.unshift(...leading.slice(kept));
    leading = leading.slice(0, kept);
  }
  return [...leading, ...fallen];
}
