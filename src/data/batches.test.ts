import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRng } from "../util/rng.ts";
import { type BatchOptions, batches } from "./batches.ts";
import { randomSet } from "./fixtures.ts";

const NORMALISATION = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };

function optionsWith(changes: Partial<BatchOptions> = {}): BatchOptions {
  return {
    batchSize: 4,
    normalisation: NORMALISATION,
    augmentation: null,
    rng: createRng(1),
    epoch: 0,
    shuffle: false,
    dropLast: false,
    ...changes,
  };
}

test("unshuffled batches hold every image once, in order, normalised", () => {
  const set = randomSet([0, 1, 2, 0, 1, 2]);
  const seen: number[] = [];
  for (const batch of batches(set, optionsWith())) {
    expect(batch.x.length).toBe(batch.size * 192);
    batch.indices.forEach((index, i) => {
      expect(batch.labels[i]).toBe(set.labels[index]);
      const expected = [...set.images.subarray(index * 192, (index + 1) * 192)].map((pixel) => Math.fround((pixel / 255 - 0.5) / 0.25));
      expect([...batch.x.subarray(i * 192, (i + 1) * 192)]).toEqual(expected);
      seen.push(index);
    });
  }
  expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
});

test("an epoch is a permutation, cut to whole batches by dropLast", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }), fc.boolean(), (count, batchSize, dropLast) => {
      fc.pre(!dropLast || count >= batchSize);
      const set = randomSet(
        Array.from({ length: count }, (_, i) => i % 2),
        [3, 2, 2],
      );
      const sizes: number[] = [];
      const seen = new Set<number>();
      for (const batch of batches(set, optionsWith({ batchSize, dropLast, shuffle: true }))) {
        sizes.push(batch.size);
        for (const index of batch.indices) seen.add(index);
      }
      const expected = dropLast ? count - (count % batchSize) : count;
      expect(sizes.reduce((a, b) => a + b, 0)).toBe(expected);
      expect(seen.size).toBe(expected);
      expect(sizes.slice(0, -1).every((size) => size === batchSize)).toBe(true);
    }),
  );
});

test("order and augmentation change with the epoch and the seed, and with nothing else", () => {
  const set = randomSet(Array.from({ length: 20 }, (_, i) => i % 2));
  const epochOf = (seed: number, epoch: number) =>
    [...batches(set, optionsWith({ rng: createRng(seed), epoch, shuffle: true, batchSize: 20, augmentation: { crop: 2 } }))].map(
      ({ x, indices }) => [[...indices], [...x]],
    )[0]!;
  expect(epochOf(1, 0)).toEqual(epochOf(1, 0));
  expect(epochOf(1, 1)[0]).not.toEqual(epochOf(1, 0)[0]);
  expect(epochOf(2, 0)[0]).not.toEqual(epochOf(1, 0)[0]);
});

test("an image is augmented alike wherever it stands in the epoch", () => {
  const set = randomSet(Array.from({ length: 12 }, (_, i) => i % 2));
  const imagesOf = (batchSize: number, shuffle: boolean) => {
    const images = new Map<number, number[]>();
    for (const { x, indices } of batches(set, optionsWith({ batchSize, shuffle, augmentation: { crop: 2, flip: true } }))) {
      indices.forEach((index, i) => {
        images.set(index, [...x.subarray(i * 192, (i + 1) * 192)]);
      });
    }
    return [...images].sort(([a], [b]) => a - b);
  };
  expect(imagesOf(5, true)).toEqual(imagesOf(3, false));
});

describe("faults, before the first batch", () => {
  const set = randomSet([0, 1, 0]);

  test("fewer images than a batch", () => {
    expect(() => batches(set, optionsWith({ dropLast: true }))).toThrow(
      "batches: the set must hold at least one batch of 4 images, got 3 — use a smaller batch or more images",
    );
  });

  test("a wrong batch size", () => {
    expect(() => batches(set, optionsWith({ batchSize: 0 }))).toThrow("batches: batchSize must be an integer of at least 1, got 0");
  });

  test("a label outside the classes", () => {
    const broken = { ...set, labels: Int32Array.of(0, 7, 0) };
    expect(() => [...batches(broken, optionsWith())]).toThrow("batches: the label of image 1 must be in 0…1, got 7");
  });
});
