import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRng } from "../util/rng.ts";
import { augmentInto, planAugmentation } from "./augment.ts";
import { randomSet } from "./fixtures.ts";
import type { Augmentation, ImageShape, Normalisation } from "./types.ts";

const SHAPE: ImageShape = [3, 8, 8];
const NORMALISATION: Normalisation = { mean: [0.41, 0.51, 0.61], std: [0.2, 0.25, 0.5] };
const IDENTITY: Normalisation = { mean: [0, 0, 0], std: [1, 1, 1] };
const image = randomSet([0, 1], SHAPE).images.subarray(0, 192);

function augmented(augmentation: Augmentation, seed: number, { source = image, normalisation = NORMALISATION } = {}): number[] {
  const target = new Float32Array(192).fill(Number.NaN);
  augmentInto(planAugmentation(SHAPE, normalisation, augmentation), source, target, createRng(0).fork(`image ${seed}`));
  return [...target];
}

const normalised = (c: number, pixel: number) => Math.fround((pixel / 255 - NORMALISATION.mean[c]!) / NORMALISATION.std[c]!);
const plain = [...image].map((pixel, i) => normalised(Math.floor(i / 64), pixel));

test("an empty augmentation, or none, only normalises", () => {
  expect(augmented({}, 1)).toEqual(plain);
  const target = new Float32Array(192);
  augmentInto(planAugmentation(SHAPE, NORMALISATION, { crop: 2, flip: true, cutout: 4 }), image, target, null);
  expect([...target]).toEqual(plain);
});

test("the result is a function of the seed", () => {
  const everything: Augmentation = { crop: 2, flip: true, brightness: 0.3, contrast: 0.3, saturation: 0.3, cutout: 3 };
  expect(augmented(everything, 4)).toEqual(augmented(everything, 4));
  expect(augmented(everything, 4)).not.toEqual(augmented(everything, 5));
});

describe("crop", () => {
  /** The offsets for which `result` is the image padded by `fill` and cropped. */
  function offsetsOf(result: number[], padding: number, fill: "zero" | "reflect"): [number, number][] {
    const at = (c: number, y: number, x: number) => {
      const mirror = (i: number) => (i < 0 ? -i : i > 7 ? 14 - i : i);
      if (fill === "zero" && (y < 0 || y > 7 || x < 0 || x > 7)) return 0;
      return plain[c * 64 + mirror(y) * 8 + mirror(x)]!;
    };
    const found: [number, number][] = [];
    for (let dy = -padding; dy <= padding; dy++) {
      for (let dx = -padding; dx <= padding; dx++) {
        if (result.every((value, i) => value === at(i >> 6, ((i >> 3) & 7) + dy, (i & 7) + dx))) found.push([dy, dx]);
      }
    }
    return found;
  }

  test.each(["zero", "reflect"] as const)("is a window of the image padded with %s, every offset equally likely", (cropFill) => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 900; seed++) {
      const offsets = offsetsOf(augmented({ crop: 1, cropFill }, seed), 1, cropFill);
      expect(offsets).toHaveLength(1);
      counts.set(String(offsets[0]), (counts.get(String(offsets[0])) ?? 0) + 1);
    }
    expect(counts.size).toBe(9);
    expect(Math.min(...counts.values())).toBeGreaterThan(60);
    expect(Math.max(...counts.values())).toBeLessThan(140);
  });

  test("does not depend on whether other changes are on", () => {
    const cropped = augmented({ crop: 2 }, 11);
    const cut = augmented({ crop: 2, cutout: 3 }, 11);
    expect(cut.filter((value, i) => value !== 0 && value !== cropped[i])).toEqual([]);
  });
});

test("flip mirrors each row about half the time", () => {
  const mirrored = plain.map((_, i) => plain[(i & ~7) + 7 - (i & 7)]!);
  let flips = 0;
  for (let seed = 0; seed < 400; seed++) {
    const result = augmented({ flip: true }, seed);
    const isFlipped = result[0] === mirrored[0];
    expect(result).toEqual(isFlipped ? mirrored : plain);
    if (isFlipped) flips++;
  }
  expect(flips).toBeGreaterThan(150);
  expect(flips).toBeLessThan(250);
});

test("cutout zeroes one clipped square of every channel", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 8 }), (seed, side) => {
      const result = augmented({ cutout: side }, seed);
      const holes = [...plain.keys()].filter((i) => result[i] === 0);
      const ys = holes.map((i) => (i >> 3) & 7);
      const xs = holes.map((i) => i & 7);
      const height = Math.max(...ys) - Math.min(...ys) + 1;
      const width = Math.max(...xs) - Math.min(...xs) + 1;
      expect(holes.length).toBe(3 * height * width);
      expect(Math.max(height, width)).toBeLessThanOrEqual(side);
      expect(result.filter((value, i) => value !== 0 && value !== plain[i])).toEqual([]);
    }),
  );
});

describe("colour jitter", () => {
  test("brightness multiplies all pixels by one factor and clamps", () => {
    const source = new Uint8Array(192).fill(51).fill(255, 0, 1);
    for (let seed = 0; seed < 50; seed++) {
      const result = augmented({ brightness: 0.5 }, seed, { source, normalisation: IDENTITY });
      const factor = result[1]! / 0.2;
      expect(factor).toBeGreaterThanOrEqual(0.5 - 1e-6);
      expect(factor).toBeLessThanOrEqual(1.5 + 1e-6);
      expect(result[0]).toBeCloseTo(Math.min(1, factor), 5);
      expect(new Set(result.slice(1)).size).toBe(1);
    }
  });

  test("saturation keeps the luma and leaves grey images alone", () => {
    const source = new Uint8Array(192).fill(140, 0, 64).fill(120, 64, 128).fill(100, 128);
    const luma = (image: number[]) => 0.299 * image[0]! + 0.587 * image[64]! + 0.114 * image[128]!;
    const result = augmented({ saturation: 0.4 }, 3, { source, normalisation: IDENTITY });
    expect(result[0]).not.toBeCloseTo(140 / 255, 3);
    expect(luma(result)).toBeCloseTo(luma([...source].map((pixel) => pixel / 255)), 5);
    const grey = augmented({ saturation: 0.4 }, 3, { source: new Uint8Array(192).fill(77), normalisation: IDENTITY });
    for (const value of grey) expect(value).toBeCloseTo(77 / 255, 6);
  });

  test("contrast scales distances from the mean grey", () => {
    const source = new Uint8Array(192).fill(120);
    for (const c of [0, 1, 2]) source.fill(140, c * 64 + 32, (c + 1) * 64);
    const result = augmented({ contrast: 0.5 }, 9, { source, normalisation: IDENTITY });
    expect((result[0]! + result[63]!) / 2).toBeCloseTo(130 / 255, 5);
    expect(result[63]! - result[0]!).not.toBeCloseTo(20 / 255, 3);
  });
});

describe("planAugmentation rejects", () => {
  const plan = (augmentation: Augmentation) => () => planAugmentation(SHAPE, NORMALISATION, augmentation);

  test("values out of range", () => {
    expect(plan({ crop: -1 })).toThrow("augmentation crop: must be an integer of at least 0 pixels, got -1");
    expect(plan({ cutout: 1.5 })).toThrow("augmentation cutout: must be an integer of at least 0 pixels, got 1.5");
    expect(plan({ brightness: Number.NaN })).toThrow("augmentation brightness: must be a number of at least 0, got NaN");
    expect(plan({ crop: 8, cropFill: "reflect" })).toThrow(
      'augmentation crop: must be at most 7 for images of 8×8 with fill "reflect", got 8',
    );
  });

  test("a normalisation of another channel count", () => {
    expect(() => planAugmentation([1, 8, 8], NORMALISATION, {})).toThrow("normalisation: must have 1 means and stds, got 3 and 3");
  });
});
