/** @file Making image sets and taking parts of them. */
import { createHash } from "node:crypto";
import { AppError } from "../errors.ts";
import type { Rng } from "../util/rng.ts";
import type { ImageSet, ImageShape } from "./types.ts";

/** Bytes of one image of `shape`. */
export function imageSize([channels, height, width]: ImageShape): number {
  return channels * height * width;
}

/** SHA-256 of shape, classes, labels and pixels, hexadecimal. */
export function fingerprint({ shape, classes, labels, images }: ImageSet): string {
  const bytes = (array: Int32Array | Uint8Array) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return createHash("sha256")
    .update(JSON.stringify([shape, classes]))
    .update(bytes(labels))
    .update(bytes(images))
    .digest("hex");
}

/** A set of black images with the given labels, backed by shared memory; the caller fills `images`. */
export function createImageSet(shape: ImageShape, classes: readonly string[], labels: Int32Array): ImageSet {
  const images = new Uint8Array(new SharedArrayBuffer(labels.length * imageSize(shape)));
  return { shape, classes, images, labels, count: labels.length };
}

/**
 * The images at `indices`, in that order, copied.
 *
 * @throws AppError DATA when an index is outside the set
 */
export function subset(set: ImageSet, indices: ArrayLike<number>): ImageSet {
  const part = createImageSet(set.shape, set.classes, new Int32Array(indices.length));
  const size = imageSize(set.shape);
  for (let i = 0; i < indices.length; i++) {
    const index = indices[i]!;
    if (!Number.isInteger(index) || index < 0 || index >= set.count) {
      throw new AppError("DATA", `subset: indices must be in 0…${set.count - 1}, got ${index}`);
    }
    part.labels[i] = set.labels[index]!;
    part.images.set(set.images.subarray(index * size, (index + 1) * size), i * size);
  }
  return part;
}

/** `count` random images of a set, which may be ordered by class; the set itself where it has no more. */
export function someOf(set: ImageSet, count: number, rng: Rng): ImageSet {
  if (set.count <= count) return set;
  return subset(set, rng.shuffle(Int32Array.from({ length: set.count }, (_, i) => i)).slice(0, count));
}
