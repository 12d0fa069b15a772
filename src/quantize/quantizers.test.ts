/** @file Properties of the quantisers: idempotent, monotone, bounded error, as small as they claim. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, highestCode } from "../graph/quantized-weight.ts";
import { createRng } from "../util/rng.ts";
import { kMeans } from "./kmeans.ts";
import { CALIBRATION_METHODS, threshold } from "./thresholds.ts";
import { binaryQuantizer, linearQuantizer, sharedQuantizer, type WeightQuantizer } from "./weights.ts";

const project = (quantizer: WeightQuantizer, weights: Float32Array): Float32Array => {
  const into = new Float32Array(weights.length);
  quantizer.project(weights, into);
  return into;
};
const normals = (count: number, seed: number) => {
  const rng = createRng(seed);
  return Float32Array.from({ length: count }, () => rng.normal());
};
const finite = fc.float({ min: -50, max: 50, noNaN: true });
const weights = fc
  .record({
    rows: fc.integer({ min: 1, max: 4 }),
    size: fc.integer({ min: 1, max: 12 }),
    seed: fc.nat(1000),
    scale: fc.double({ min: 0.01, max: 30, noNaN: true }),
  })
  .map(({ rows, size, seed, scale }) => ({ shape: [rows, size], data: normals(rows * size, seed).map((v) => v * scale) }));

describe("linear weights", () => {
  test("are idempotent, odd, monotone in a channel, within half a step inside the range, and codes decode to them", () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 2, max: 8 }), fc.constantFrom(...CALIBRATION_METHODS), (weight, bits, method) => {
        const quantizer = linearQuantizer(weight, bits, method);
        const once = project(quantizer, weight.data);
        expect(project(quantizer, once)).toEqual(once);
        const negated = weight.data.map((v) => -v);
        expect(project(quantizer, negated)).toEqual(once.map((v) => 0 - v));
        const { codes, scale, bits: stored } = quantizer.encode(once);
        expect(stored).toBe(bits);
        for (const code of codes) expect(Math.abs(code)).toBeLessThanOrEqual(highestCode(bits));
        expect(decode(quantizer.encode(once)).data).toEqual(once);
        const size = weight.shape[1]!;
        for (let o = 0; o < weight.shape[0]!; o++) {
          const order = Array.from({ length: size }, (_, i) => o * size + i).sort((a, b) => weight.data[a]! - weight.data[b]!);
          for (const [k, i] of order.entries()) {
            if (k > 0) expect(once[i]!).toBeGreaterThanOrEqual(once[order[k - 1]!]!);
            const reach = scale[o]! * highestCode(bits);
            if (Math.abs(weight.data[i]!) <= reach) expect(Math.abs(once[i]! - weight.data[i]!)).toBeLessThanOrEqual(scale[o]! * 0.5001);
            else expect(Math.abs(once[i]!)).toBeCloseTo(reach, 3);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test("more bits, less error", () => {
    const weight = { shape: [4, 500], data: normals(2000, 1) };
    const errors = [2, 3, 4, 5, 6, 7, 8].map((bits) =>
      project(linearQuantizer(weight, bits), weight.data).reduce((sum, v, i) => sum + (v - weight.data[i]!) ** 2, 0),
    );
    for (let i = 1; i < errors.length; i++) expect(errors[i]!).toBeLessThan(errors[i - 1]! * 0.5);
  });
});

test("binary weights are the sign times the least-squares magnitude", () => {
  const weight = { shape: [2, 3], data: Float32Array.of(1, -2, 3, -0.5, 0.5, 0) };
  const quantizer = binaryQuantizer(weight);
  const once = project(quantizer, weight.data);
  expect([...once]).toEqual([2, -2, 2, -1 / 3, 1 / 3, 1 / 3].map((v) => Math.fround(v)));
  expect(project(quantizer, once)).toEqual(once);
  expect(decode(quantizer.encode(once)).data).toEqual(once);
  const error = (a: number) => weight.data.subarray(0, 3).reduce((sum, v) => sum + (v - Math.sign(v) * a) ** 2, 0);
  for (const a of [1.9, 2.1]) expect(error(a)).toBeGreaterThan(error(2));
});

test("a binary channel of zeros stays one", () => {
  const weight = { shape: [2, 2], data: Float32Array.of(0, 0, 1, -1) };
  const quantizer = binaryQuantizer(weight);
  const once = project(quantizer, weight.data);
  expect([...decode(quantizer.encode(once)).data]).toEqual([0, 0, 1, -1]);
});

describe("shared weights", () => {
  test("take at most 2^bits values, each the mean of its weights, and stay so when trained", () => {
    const weight = { shape: [8, 100], data: normals(800, 3) };
    for (const bits of [1, 2, 3, 4, 8]) {
      const quantizer = sharedQuantizer(weight, bits, createRng(1));
      const once = project(quantizer, weight.data);
      expect(new Set(once).size).toBeLessThanOrEqual(2 ** bits);
      const groups = Map.groupBy(weight.data.keys(), (i) => once[i]!);
      for (const [value, members] of groups)
        expect(members.reduce((sum, i) => sum + weight.data[i]!, 0) / members.length).toBeCloseTo(value, 5);
      expect(decode(quantizer.encode(once)).data).toEqual(once);
      // a step on every weight moves a shared value by the mean of its members' steps
      const moved = project(
        quantizer,
        once.map((v, i) => v + i / 800),
      );
      for (const members of groups.values()) {
        const step = members.reduce((sum, i) => sum + i / 800, 0) / members.length;
        expect(moved[members[0]!]! - once[members[0]!]!).toBeCloseTo(step, 4);
      }
    }
  });

  test("k-means gives each value its nearest centroid and cannot be improved by another round", () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 80 }), fc.integer({ min: 1, max: 16 }), fc.nat(99), (list, k, seed) => {
        const values = Float32Array.from(list);
        const { centroids, labels } = kMeans(values, k, createRng(seed));
        expect(centroids.length).toBeLessThanOrEqual(k);
        expect(new Set(centroids).size).toBe(centroids.length);
        for (const [i, v] of values.entries()) {
          const nearest = Math.min(...centroids.map((c) => Math.abs(c - v)));
          expect(Math.abs(centroids[labels[i]!]! - v)).toBeCloseTo(nearest, 4);
        }
      }),
    );
  });

  test("few distinct values are kept exactly", () => {
    const values = Float32Array.of(1, 5, 5, -2, 1, 1);
    const { centroids, labels } = kMeans(values, 8, createRng(2));
    expect(Float32Array.from(labels, (label) => centroids[label]!)).toEqual(values);
  });
});

describe("thresholds", () => {
  test("lie between 0 and the largest magnitude, for whatever values", () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 200 }), fc.integer({ min: 1, max: 255 }), (list, levels) => {
        const values = Float32Array.from(list);
        const top = Math.max(...values.map(Math.abs));
        for (const method of CALIBRATION_METHODS) {
          const c = threshold(values, { levels, method });
          expect(c).toBeGreaterThanOrEqual(0);
          expect(c).toBeLessThanOrEqual(top * 1.0001);
          if (top > 0) expect(c).toBeGreaterThan(0);
        }
      }),
    );
  });

  test("few codes of a long-tailed distribution clip the tail, many do not; max never does", () => {
    const values = normals(20000, 5);
    const top = Math.max(...values.map(Math.abs));
    for (const method of ["mse", "kl"] as const) {
      expect(threshold(values, { levels: 3, method }), method).toBeLessThan(0.8 * top);
      expect(threshold(values, { levels: 127, method }), method).toBeGreaterThan(0.75 * top);
    }
    expect(threshold(values, { levels: 3, method: "max" })).toBe(top);
    expect(threshold(values, { levels: 127, method: "percentile", share: 0.99 })).toBeCloseTo(2.576, 1);
  });

  test("mse is the least squared error among thresholds", () => {
    const values = normals(3000, 6);
    const error = (c: number) => {
      const step = c / 7;
      return values.reduce((sum, v) => sum + (v - step * Math.max(-7, Math.min(7, Math.round(v / step)))) ** 2, 0);
    };
    const best = threshold(values, { levels: 7, method: "mse" });
    for (const factor of [0.7, 0.9, 1.1, 1.3]) expect(error(best * factor)).toBeGreaterThan(error(best));
  });
});
