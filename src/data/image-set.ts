/** @file Making, cutting and describing image sets. */
import { AppError } from "../errors.ts";
import type { Rng } from "../util/rng.ts";
import type { ImageSet, Normalisation } from "./types.ts";

/** Memory for `count` images that worker threads can share. */
export function allocateImages(count: number, shape: ImageSet["shape"]): Uint8Array<SharedArrayBuffer> {
  return new Uint8Array(new SharedArrayBuffer(count * shape[0] * shape[1] * shape[2]));
}

/** The images at `indices`, copied. */
export function subset(set: ImageSet, indices: readonly number[]): ImageSet {
  const bytes = set.shape[0] * set.shape[1] * set.shape[2];
  const images = allocateImages(indices.length, set.shape);
  for (const [to, from] of indices.entries()) images.set(set.images.subarray(from * bytes, (from + 1) * bytes), to * bytes);
  return { ...set, images, labels: Int32Array.from(indices, (i) => set.labels[i]!), count: indices.length };
}

/** Positions of each class's images. */
function byClass(set: ImageSet): number[][] {
  const positions: number[][] = set.classes.map(() => []);
  for (let i = 0; i < set.count; i++) positions[set.labels[i]!]!.push(i);
  return positions;
}

/** Draws `ratio` of every class at random: [the rest, the part], each in the original order. */
export function splitSet(set: ImageSet, ratio: number, rng: Rng): [rest: ImageSet, part: ImageSet] {
  const part = new Set<number>();
  for (const positions of byClass(set)) {
    const wanted = Math.min(positions.length - 1, Math.max(1, Math.round(positions.length * ratio)));
    for (const i of rng.shuffle([...positions]).slice(0, wanted)) part.add(i);
  }
  const all = Array.from({ length: set.count }, (_, i) => i);
  return [subset(set, all.filter((i) => !part.has(i))), subset(set, all.filter((i) => part.has(i)))];
}

/** At most `limit` images, the same share of every class. */
export function limitSet(set: ImageSet, limit: number, rng: Rng): ImageSet {
  return limit >= set.count ? set : splitSet(set, limit / set.count, rng)[1];
}

/** Mean and standard deviation of every channel over all images, pixels scaled to 0…1. */
export function normalisationOf(set: ImageSet): Normalisation {
  const [channels, height, width] = set.shape;
  const cells = height * width;
  const mean: number[] = [];
  const std: number[] = [];
  for (let c = 0; c < channels; c++) {
    let [sum, squares] = [0, 0];
    for (let n = 0; n < set.count; n++) {
      const at = (n * channels + c) * cells;
      for (let i = at; i < at + cells; i++) {
        const value = set.images[i]!;
        sum += value;
        squares += value * value;
      }
    }
    const total = set.count * cells;
    const average = sum / total;
    mean.push(average / 255);
    std.push(Math.max(1e-3, Math.sqrt(squares / total - average * average) / 255));
  }
  return { mean, std };
}

/** @throws AppError DATA when there is only one class, a class without images, or a label out of range */
export function checkSet(set: ImageSet, where: string): ImageSet {
  if (set.classes.length < 2) throw new AppError("DATA", `${where}: there must be at least two classes, got ${set.classes.length} (${set.classes.join(", ")})`);
  const counts = new Array<number>(set.classes.length).fill(0);
  for (let i = 0; i < set.count; i++) {
    const label = set.labels[i]!;
    if (label < 0 || label >= counts.length) throw new AppError("DATA", `${where}: labels must be 0 to ${counts.length - 1}, got ${label} for image ${i}`);
    counts[label] = counts[label]! + 1;
  }
  const empty = counts.indexOf(0);
  if (empty >= 0) throw new AppError("DATA", `${where}: every class must have images, got none for class "${set.classes[empty]}"`);
  return set;
}
