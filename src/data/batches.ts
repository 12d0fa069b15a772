/** @file Batches in a seeded order. */
import { AppError } from "../errors.ts";
import { createRng } from "../util/rng.ts";
import { augmentInto } from "./augment.ts";
import type { Batch, BatchOptions, ImageSet } from "./types.ts";

/** Images of each batch of an epoch. @throws AppError DATA when a whole batch is wanted and there are fewer images */
export function batchIndices(set: ImageSet, { batchSize, seed, shuffle, dropLast }: BatchOptions, epoch: number): Int32Array[] {
  if (dropLast && set.count < batchSize) {
    throw new AppError("DATA", `batches: there must be at least one batch of ${batchSize} images, got ${set.count} — use a smaller batch or more images`);
  }
  const order = Int32Array.from({ length: set.count }, (_, i) => i);
  if (shuffle) createRng(seed).fork(`order ${epoch}`).shuffle(order);
  const batches: Int32Array[] = [];
  for (let at = 0; at < order.length; at += batchSize) batches.push(order.slice(at, at + batchSize));
  return dropLast ? batches.filter((batch) => batch.length === batchSize) : batches;
}

/** Fills `x` with the augmented, normalised images; what an image becomes depends on seed, epoch and its index alone. */
export function fillBatch(x: Float32Array, set: ImageSet, indices: Int32Array, options: BatchOptions, epoch: number): void {
  const bytes = set.shape[0] * set.shape[1] * set.shape[2];
  const rng = createRng(options.seed).fork(`augment ${epoch}`);
  for (const [i, index] of indices.entries()) {
    const own = options.augmentation ? rng.fork(String(index)) : rng;
    augmentInto(x, i * bytes, set, index, options.normalisation, options.augmentation, own);
  }
}

/** The epoch's batches, assembled when asked for. */
export function* batches(set: ImageSet, options: BatchOptions & { readonly epoch: number }): Iterable<Batch> {
  const bytes = set.shape[0] * set.shape[1] * set.shape[2];
  const x = new Float32Array(options.batchSize * bytes);
  for (const indices of batchIndices(set, options, options.epoch)) {
    const part = x.subarray(0, indices.length * bytes);
    fillBatch(part, set, indices, options, options.epoch);
    yield { x: part, labels: Int32Array.from(indices, (i) => set.labels[i]!), indices, size: indices.length };
  }
}
