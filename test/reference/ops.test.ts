import { expect, test } from "vitest";
import { createRng } from "../../src/util/rng.ts";
import { dot, gradientError, map, type Ref, random, size } from "./array.ts";
import * as ops from "./ops.ts";

const rng = createRng(11);
const TOLERANCE = 1e-6;

/** Checks every gradient of y = f(inputs) for a random output gradient. */
function check(f: (...inputs: Ref[]) => Ref, gradients: (dy: Ref, ...inputs: Ref[]) => readonly Ref[], inputs: readonly Ref[]): void {
  const dy = random(f(...inputs).shape, rng);
  for (const [i, gradient] of gradients(dy, ...inputs).entries()) {
    const error = gradientError((x) => dot(f(...inputs.map((input, j) => (j === i ? x : input))), dy), gradient, inputs[i]!, rng);
    expect(error, `input ${i}`).toBeLessThan(TOLERANCE);
  }
}

test("convolution: groups, strides, dilation and asymmetric padding", () => {
  const a: ops.ConvAttrs = { stride: [2, 1], padding: { top: 1, left: 0, bottom: 2, right: 1 }, dilation: [1, 2], groups: 2 };
  check(
    (x, w, b) => ops.conv(x, w, b, a),
    (dy, x, w) => {
      const { dx, dw, db } = ops.convBackward(x, w, a, dy);
      return [dx, dw, db];
    },
    [random([2, 4, 5, 6], rng), random([6, 2, 3, 2], rng), random([6], rng)],
  );
});

test("batch normalisation with the batch's and with fixed statistics", () => {
  const inputs = [random([3, 2, 4, 3], rng), random([2], rng), random([2], rng)];
  const results = (r: ReturnType<typeof ops.batchNormBackward>) => [r.dx, r.dscale, r.dshift];
  check(
    (x, s, t) => ops.batchNorm(x, s, t, 1e-3),
    (dy, x, s) => results(ops.batchNormBackward(x, s, 1e-3, dy)),
    inputs,
  );
  const fixed = { mean: Float64Array.of(0.1, -0.2), variance: Float64Array.of(1.3, 0.4) };
  check(
    (x, s, t) => ops.batchNorm(x, s, t, 1e-3, fixed),
    (dy, x, s) => results(ops.batchNormBackward(x, s, 1e-3, dy, fixed)),
    inputs,
  );
});

test.each(Object.entries(ops.elementWise))("%s", (_, { f, d, kinks }) => {
  const x = random([200], rng, { scale: 4, avoid: kinks });
  check(
    (v) => map(v, f),
    (dy, v) => [map(v, (value, i) => d(value) * dy.data[i]!)],
    [x],
  );
});

test("pooling", () => {
  const a: ops.PoolAttrs = { kernel: [3, 2], stride: [2, 1], padding: { top: 1, left: 0, bottom: 0, right: 1 } };
  const x = random([2, 3, 6, 5], rng);
  check(
    (v) => ops.maxPool(v, a),
    (dy, v) => [ops.maxPoolBackward(v, a, dy)],
    [x],
  );
  for (const counts of [true, false])
    check(
      (v) => ops.averagePool(v, a, counts),
      (dy, v) => [ops.averagePoolBackward(v, a, counts, dy)],
      [x],
    );
});

test("linear", () => {
  check(ops.linear, (dy, x, w) => Object.values(ops.linearBackward(x, w, dy)), [
    random([3, 5], rng),
    random([4, 5], rng),
    random([4], rng),
  ]);
});

test("cross-entropy with soft targets", () => {
  const logits = random([4, 6], rng);
  const targets = map(random([4, 6], rng), Math.abs);
  expect(gradientError((z) => ops.crossEntropy(z, targets).loss, ops.crossEntropy(logits, targets).gradient, logits, rng)).toBeLessThan(
    TOLERANCE,
  );
  expect(size(targets.shape)).toBe(24);
});

test("the check itself rejects a gradient that is 1% off", () => {
  const x = random([50], rng);
  const gradient = map(x, (v) => 1.01 * 2 * v);
  expect(gradientError((v) => dot(v, v), gradient, x, createRng(1))).toBeGreaterThan(1e-3);
});
