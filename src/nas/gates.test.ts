import fc from "fast-check";
import { expect, test } from "vitest";
import { gradientError } from "../../test/reference/array.ts";
import { createRng } from "../util/rng.ts";
import { alphaGradient, alphaStep, initialAlphaState, rescalePair } from "./architecture-gradient.ts";
import { sampleOne, sampleTwo, softmax } from "./gates.ts";

const alphas = fc.array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 2, maxLength: 7 }).map((a) => Float64Array.from(a));
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

test("gates are one-hot: one active candidate, the others of the sample inactive", () => {
  fc.assert(
    fc.property(alphas, seeds, (alpha, seed) => {
      const one = sampleOne(alpha, createRng(seed));
      expect([one.active, ...one.inactive].sort()).toEqual([...alpha.keys()]);
      const two = sampleTwo(alpha, createRng(seed));
      expect(two.inactive).toHaveLength(1);
      expect(two.inactive[0]).not.toBe(two.active);
      expect([...two.probabilities.keys()].filter((i) => two.probabilities[i]! > 0).sort()).toEqual([two.active, two.inactive[0]!].sort());
      expect(two.probabilities.reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 12);
    }),
  );
});

test("candidates are drawn as often as their probabilities say", () => {
  const alpha = Float64Array.of(0, 1, -1, 0.5);
  const p = softmax(alpha);
  const rng = createRng(3);
  const counts = new Float64Array(4);
  for (let i = 0; i < 20_000; i++) counts[sampleOne(alpha, rng).active]!++;
  for (const [i, count] of counts.entries()) expect(count / 20_000).toBeCloseTo(p[i]!, 1);
  expect(sampleTwo(Float64Array.of(3), rng)).toEqual({ active: 0, inactive: [], probabilities: Float64Array.of(1) });
});

test("the α gradient is that of a loss in the probabilities (equation 4), by finite differences", () => {
  const rng = createRng(5);
  fc.assert(
    fc.property(alphas, (alpha) => {
      // L(p) = Σ cos(j)·pⱼ + (Σ j·pⱼ)², whose derivative by pⱼ is known
      const mean = (p: Float64Array) => p.reduce((sum, x, j) => sum + j * x, 0);
      const loss = (a: Float64Array) => {
        const p = softmax(a);
        return p.reduce((sum, x, j) => sum + Math.cos(j) * x, 0) + mean(p) ** 2;
      };
      const p = softmax(alpha);
      const gradient = alphaGradient(
        p.map((_, j) => Math.cos(j) + 2 * j * mean(p)),
        p,
      );
      const shape = [alpha.length];
      expect(gradientError((x) => loss(x.data), { shape, data: gradient }, { shape, data: alpha }, rng)).toBeLessThan(1e-6);
    }),
  );
});

test("after a step on two candidates every other probability is as before", () => {
  const before = Float64Array.of(0.3, -0.2, 0.1);
  const after = rescalePair(Float64Array.of(0.5, -0.1, 0.1), before, [0, 1]);
  const offset = Math.log((Math.exp(0.5) + Math.exp(-0.1)) / (Math.exp(0.3) + Math.exp(-0.2)));
  expect([...after]).toEqual([0.5 - offset, -0.1 - offset, 0.1]);
  expect(softmax(after)[2]).toBeCloseTo(softmax(before)[2]!, 15);
  fc.assert(
    fc.property(alphas, fc.double({ min: -1, max: 1, noNaN: true }), (alpha, change) => {
      const next = alpha.map((a, i) => (i < 2 ? a + change * (i + 1) : a));
      const [p, q] = [softmax(alpha), softmax(rescalePair(next, alpha, [0, 1]))];
      for (let i = 2; i < alpha.length; i++) expect(q[i]).toBeCloseTo(p[i]!, 12);
    }),
  );
});

test("the α optimizer is Adam without momentum: its first step has the size of the learning rate", () => {
  const { alpha, state } = alphaStep(Float64Array.of(0, 0, 0), Float64Array.of(5, -1e-3, 0), initialAlphaState(3), 0.01);
  expect([...alpha]).toEqual([expect.closeTo(-0.01, 6), expect.closeTo(0.01, 6), 0]);
  expect(alphaStep(alpha, new Float64Array(3), state, 0.01).alpha).toEqual(alpha);
});
