/** @file k-means of numbers: with sorted values and their running sums a round costs k binary searches. */
import type { Rng } from "../util/rng.ts";

export interface Clusters {
  /** Ascending; no two equal. */
  readonly centroids: Float32Array;
  /** Nearest centroid of each value. */
  readonly labels: Uint8Array;
}

const MOST_ROUNDS = 100;

/** First position in sorted values that is above `limit`. */
function upperBound(sorted: Float32Array, limit: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Values that seeding looks at, evenly spaced among the sorted ones. */
const SEEDED_FROM = 16_384;

/** k-means++: each centroid is drawn in proportion to the squared distance to those before. Paper: Arthur and Vassilvitskii 2007. */
function seed(sorted: Float32Array, k: number, rng: Rng): Float64Array {
  const stride = Math.ceil(sorted.length / SEEDED_FROM);
  const values = stride === 1 ? sorted : sorted.filter((_, i) => i % stride === 0);
  const centroids = [values[rng.int(values.length)]!];
  const distances = Float64Array.from(values, (v) => (v - centroids[0]!) ** 2);
  while (centroids.length < k && distances.some((d) => d > 0)) {
    const chosen = values[rng.categorical(distances)]!;
    centroids.push(chosen);
    for (let i = 0; i < values.length; i++) distances[i] = Math.min(distances[i]!, (values[i]! - chosen) ** 2);
  }
  return Float64Array.from(new Set(centroids)).sort();
}

/** Clusters values into at most k ≤ 256 groups (fewer when there are fewer distinct values) by Lloyd's rounds. */
export function kMeans(values: Float32Array, k: number, rng: Rng, rounds = MOST_ROUNDS): Clusters {
  const sorted = values.slice().sort();
  const sums = new Float64Array(sorted.length + 1);
  for (let i = 0; i < sorted.length; i++) sums[i + 1] = sums[i]! + sorted[i]!;
  let centroids = seed(sorted, Math.min(k, sorted.length), rng);
  for (let round = 0; round < rounds; round++) {
    const next: number[] = [];
    let from = 0;
    for (let c = 0; c < centroids.length; c++) {
      const to = c === centroids.length - 1 ? sorted.length : upperBound(sorted, (centroids[c]! + centroids[c + 1]!) / 2);
      if (to > from) next.push((sums[to]! - sums[from]!) / (to - from));
      from = to;
    }
    const isSettled = next.length === centroids.length && next.every((v, i) => v === centroids[i]);
    centroids = Float64Array.from(next);
    if (isSettled) break;
  }
  const distinct = Float32Array.from(new Set(Float32Array.from(centroids)));
  const limits = Float64Array.from({ length: distinct.length - 1 }, (_, c) => (distinct[c]! + distinct[c + 1]!) / 2);
  const labels = Uint8Array.from(values, (v) => {
    let [low, high] = [0, limits.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (limits[middle]! < v) low = middle + 1;
      else high = middle;
    }
    return low;
  });
  return { centroids: distinct, labels };
}
