import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRng } from "../util/rng.ts";
import { stratifiedSample, stratifiedSplit } from "./stratify.ts";

/** Labels of 1 to 4 classes with 1 to 30 images each, interleaved. */
const labelsArbitrary = fc
  .array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 })
  .chain((sizes) =>
    fc.shuffledSubarray(
      sizes.flatMap((size, k) => Array<number>(size).fill(k)),
      { minLength: sizes.reduce((a, b) => a + b) },
    ),
  )
  .map((labels) => Int32Array.from(labels));

const countOf = (labels: Int32Array, indices: Int32Array, label: number) => indices.filter((i) => labels[i] === label).length;

describe("stratifiedSplit", () => {
  test("partitions the positions in ascending order", () => {
    fc.assert(
      fc.property(labelsArbitrary, fc.double({ min: 0, max: 0.99, noNaN: true }), fc.nat(), (labels, ratio, seed) => {
        const [rest, part] = stratifiedSplit(labels, ratio, createRng(seed));
        expect([...rest, ...part].sort((a, b) => a - b)).toEqual([...labels.keys()]);
        expect([...rest]).toEqual([...rest].sort((a, b) => a - b));
        expect([...part]).toEqual([...part].sort((a, b) => a - b));
      }),
    );
  });

  test("takes every class in proportion, to within one image, and leaves each at least one", () => {
    fc.assert(
      fc.property(labelsArbitrary, fc.double({ min: 0, max: 0.99, noNaN: true }), fc.nat(), (labels, ratio, seed) => {
        const [rest, part] = stratifiedSplit(labels, ratio, createRng(seed));
        const all = Int32Array.from(labels.keys());
        for (const label of new Set(labels)) {
          const size = countOf(labels, all, label);
          expect(Math.abs(countOf(labels, part, label) - (size * Math.round(ratio * labels.length)) / labels.length)).toBeLessThanOrEqual(
            1,
          );
          expect(countOf(labels, rest, label)).toBeGreaterThanOrEqual(1);
        }
      }),
    );
  });

  test("gives round(ratio · N) positions to the part when classes are large enough", () => {
    const labels = Int32Array.from({ length: 105 }, (_, i) => i % 7);
    for (const ratio of [0, 0.1, 0.2, 0.33, 0.5]) {
      expect(stratifiedSplit(labels, ratio, createRng(3))[1].length).toBe(Math.round(105 * ratio));
    }
  });

  test("is a function of the seed", () => {
    const labels = Int32Array.from({ length: 100 }, (_, i) => i % 4);
    const part = (seed: number) => [...stratifiedSplit(labels, 0.3, createRng(seed))[1]];
    expect(part(5)).toEqual(part(5));
    expect(part(5)).not.toEqual(part(6));
  });

  test("rejects a ratio outside [0, 1)", () => {
    expect(() => stratifiedSplit(Int32Array.of(0, 1), 1, createRng(0))).toThrow(
      "data split: ratio must be at least 0 and less than 1, got 1",
    );
    expect(() => stratifiedSplit(Int32Array.of(0, 1), Number.NaN, createRng(0))).toThrow("got NaN");
  });
});

describe("stratifiedSample", () => {
  test("takes exactly the limit, with no class left out", () => {
    fc.assert(
      fc.property(labelsArbitrary, fc.nat({ max: 150 }), fc.nat(), (labels, extra, seed) => {
        const present = new Set(labels);
        const limit = present.size + extra;
        const sample = stratifiedSample(labels, limit, createRng(seed));
        expect(sample.length).toBe(Math.min(limit, labels.length));
        expect(new Set(sample).size).toBe(sample.length);
        expect(new Set(sample.map((i) => labels[i]!))).toEqual(present);
      }),
    );
  });

  test("keeps proportions", () => {
    const labels = Int32Array.from([...Array<number>(60).fill(0), ...Array<number>(30).fill(1), ...Array<number>(10).fill(2)]);
    const sample = stratifiedSample(labels, 20, createRng(1));
    expect([0, 1, 2].map((label) => countOf(labels, sample, label))).toEqual([12, 6, 2]);
  });

  test("rejects a limit with less than one image a class", () => {
    expect(() => stratifiedSample(Int32Array.of(0, 1, 2), 2, createRng(0))).toThrow(
      "data limit: must be an integer of at least one image for each of 3 classes, got 2",
    );
  });
});
