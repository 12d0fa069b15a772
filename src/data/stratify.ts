/** @file Random choices of images that keep the proportions of the classes. They work on labels alone, before any image is decoded. */
import { AppError } from "../errors.ts";
import type { Rng } from "../util/rng.ts";

/** Positions of each label, ascending; labels are 0…K - 1. */
function groupByLabel(labels: Int32Array): number[][] {
  const groups: number[][] = [];
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i]!;
    while (groups.length <= label) groups.push([]);
    groups[label]!.push(i);
  }
  return groups;
}

/**
 * Shares `total` among groups in proportion to `sizes` by largest remainder (ties: the earlier group), between `lower` and `upper` of
 * each size. Every share is within one of its exact proportion unless a bound stops it.
 */
function allocate(sizes: readonly number[], total: number, lower: (size: number) => number, upper: (size: number) => number): number[] {
  const images = sizes.reduce((sum, size) => sum + size, 0);
  const exact = sizes.map((size) => (size * total) / Math.max(1, images));
  const shares = sizes.map((size, k) => Math.max(lower(size), Math.min(upper(size), Math.floor(exact[k]! + 1e-9))));
  let open = total - shares.reduce((sum, share) => sum + share, 0);
  const byRemainder = sizes.map((_, k) => k).sort((a, b) => exact[b]! - shares[b]! - (exact[a]! - shares[a]!) || a - b);
  for (const k of byRemainder) {
    if (open <= 0) break;
    if (shares[k]! >= upper(sizes[k]!)) continue;
    shares[k] = shares[k]! + 1;
    open--;
  }
  while (open < 0) {
    const largest = shares.indexOf(Math.max(...shares));
    shares[largest] = shares[largest]! - 1;
    open++;
  }
  return shares;
}

/** `shares[k]` random positions of every group, ascending, and those left over. */
function draw(groups: number[][], shares: readonly number[], rng: Rng): { taken: Int32Array; left: Int32Array } {
  const taken: number[] = [];
  const left: number[] = [];
  groups.forEach((positions, k) => {
    const shuffled = rng.fork(`class ${k}`).shuffle([...positions]);
    const share = shares[k]!;
    for (let i = 0; i < shuffled.length; i++) (i < share ? taken : left).push(shuffled[i]!);
  });
  return { taken: Int32Array.from(taken).sort(), left: Int32Array.from(left).sort() };
}

/**
 * Splits positions 0…N - 1 into a rest and a part of round(ratio · N), every class in proportion (to within one), both ascending.
 * A class never loses its last position to the part.
 *
 * @param labels [N]
 * @param ratio  in [0, 1)
 * @throws AppError CONFIG when the ratio is outside [0, 1)
 */
export function stratifiedSplit(labels: Int32Array, ratio: number, rng: Rng): [rest: Int32Array, part: Int32Array] {
  if (!(ratio >= 0 && ratio < 1)) throw new AppError("CONFIG", `data split: ratio must be at least 0 and less than 1, got ${ratio}`);
  const groups = groupByLabel(labels);
  const sizes = groups.map((positions) => positions.length);
  const shares = allocate(
    sizes,
    Math.round(labels.length * ratio),
    () => 0,
    (size) => Math.max(0, size - 1),
  );
  const { taken, left } = draw(groups, shares, rng);
  return [left, taken];
}

/**
 * `limit` of the positions 0…N - 1 (all of them when there are not more), every class in proportion but none left out, ascending.
 *
 * @throws AppError CONFIG when the limit is no integer or smaller than the number of classes present
 */
export function stratifiedSample(labels: Int32Array, limit: number, rng: Rng): Int32Array {
  const groups = groupByLabel(labels);
  const sizes = groups.map((positions) => positions.length);
  const present = sizes.filter((size) => size > 0).length;
  if (!Number.isInteger(limit) || limit < present) {
    throw new AppError("CONFIG", `data limit: must be an integer of at least one image for each of ${present} classes, got ${limit}`);
  }
  const shares = allocate(
    sizes,
    Math.min(limit, labels.length),
    (size) => Math.min(1, size),
    (size) => size,
  );
  return draw(groups, shares, rng).taken;
}
