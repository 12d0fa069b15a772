/** @file Batches of an epoch, assembled on the calling thread. */
import { AppError } from "../errors.ts";
import type { Rng } from "../util/rng.ts";
import { augmentInto, planAugmentation } from "./augment.ts";
import { imageSize } from "./image-set.ts";
import type { Augmentation, Batch, ImageSet, Normalisation } from "./types.ts";

export interface BatchOptions {
  /** Images a batch, ≥ 1. */
  readonly batchSize: number;
  readonly normalisation: Normalisation;
  /** null: images are only normalised. */
  readonly augmentation: Augmentation | null;
  /** Order and augmentation are functions of this stream's seed, the epoch and an image's index. */
  readonly rng: Rng;
  readonly epoch: number;
  readonly shuffle: boolean;
  /** Leave out the last batch if it is smaller than batchSize. */
  readonly dropLast: boolean;
}

/** Memory that a batch is written to. */
export interface BatchBuffers {
  /** [B, C, H, W]. */
  readonly x: Float32Array;
  /** [B]. */
  readonly labels: Int32Array;
  /** [B]. */
  readonly indices: Int32Array;
}

/** Batches in an epoch of `count` images. */
export function batchCount(count: number, { batchSize, dropLast }: Pick<BatchOptions, "batchSize" | "dropLast">): number {
  return dropLast ? Math.floor(count / batchSize) : Math.ceil(count / batchSize);
}

/**
 * Checks what a consumer could get wrong, before the first batch.
 *
 * @throws AppError CONFIG for a wrong batch size or augmentation; DATA when dropLast would leave no batch at all, or for a broken set
 */
export function requireBatches(set: ImageSet, options: Omit<BatchOptions, "rng" | "epoch">): void {
  const { batchSize, normalisation, augmentation, dropLast } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new AppError("CONFIG", `batches: batchSize must be an integer of at least 1, got ${batchSize}`);
  if (dropLast && set.count < batchSize) {
    throw new AppError(
      "DATA",
      `batches: the set must hold at least one batch of ${batchSize} images, got ${set.count} — use a smaller batch or more images`,
    );
  }
  planAugmentation(set.shape, normalisation, augmentation ?? {});
}

/** New memory for one batch, of the kind that threads can share. */
export function allocateBatch(set: ImageSet, batchSize: number): BatchBuffers {
  const words = (count: number) => new SharedArrayBuffer(4 * count);
  return {
    x: new Float32Array(words(batchSize * imageSize(set.shape))),
    labels: new Int32Array(words(batchSize)),
    indices: new Int32Array(words(batchSize)),
  };
}

/** The first `size` images of a buffer as a batch. */
export function viewBatch({ x, labels, indices }: BatchBuffers, capacity: number, size: number): Batch {
  if (size === capacity) return { x, labels, indices, size };
  return { x: x.subarray(0, (x.length / capacity) * size), labels: labels.subarray(0, size), indices: indices.subarray(0, size), size };
}

/** Writes the batches of one epoch: `write(b, buffers)` fills `buffers` with batch b and returns its size. */
export interface EpochWriter {
  readonly count: number;
  readonly write: (b: number, buffers: BatchBuffers) => number;
}

/** The one place that decides what is in a batch, so that threads agree byte for byte. */
export function createEpochWriter(set: ImageSet, options: BatchOptions): EpochWriter {
  const { batchSize, normalisation, augmentation, epoch, shuffle } = options;
  const rng = options.rng.fork(`epoch ${epoch}`);
  const plan = planAugmentation(set.shape, normalisation, augmentation ?? {});
  const order = Int32Array.from({ length: set.count }, (_, i) => i);
  if (shuffle) rng.fork("order").shuffle(order);
  const size = imageSize(set.shape);
  const write = (b: number, { x, labels, indices }: BatchBuffers): number => {
    const images = Math.min(batchSize, set.count - b * batchSize);
    for (let i = 0; i < images; i++) {
      const index = order[b * batchSize + i]!;
      const label = set.labels[index]!;
      if (!(label >= 0 && label < set.classes.length)) {
        throw new AppError("DATA", `batches: the label of image ${index} must be in 0…${set.classes.length - 1}, got ${label}`);
      }
      indices[i] = index;
      labels[i] = label;
      const source = set.images.subarray(index * size, (index + 1) * size);
      augmentInto(plan, source, x.subarray(i * size, (i + 1) * size), augmentation ? rng.fork(`image ${index}`) : null);
    }
    return images;
  };
  return { count: batchCount(set.count, options), write };
}

/**
 * The batches of one epoch, in order. All share one piece of memory: a batch is valid until the next one is requested.
 *
 * @throws AppError CONFIG or DATA, at once and not at the first batch, as requireBatches
 */
export function batches(set: ImageSet, options: BatchOptions): Iterable<Batch> {
  requireBatches(set, options);
  return generate(set, options);
}

function* generate(set: ImageSet, options: BatchOptions): Generator<Batch> {
  const { batchSize } = options;
  const writer = createEpochWriter(set, options);
  const buffers = allocateBatch(set, batchSize);
  for (let b = 0; b < writer.count; b++) yield viewBatch(buffers, batchSize, writer.write(b, buffers));
}
