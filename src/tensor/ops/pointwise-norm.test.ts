import { expect, test } from "vitest";
import { map, type Ref, random } from "../../../test/reference/array.ts";
import { checkOp, expectClose } from "../../../test/reference/engine.ts";
import * as reference from "../../../test/reference/ops.ts";
import { createRng } from "../../util/rng.ts";
import { createScope, fromArray, valuesOf } from "../tensor.ts";
import type { BatchNormOptions } from "./batch-norm.ts";
import { isFusionWorthwhile, pointwiseNorm } from "./pointwise-norm.ts";

const options: BatchNormOptions = { epsilon: 1e-3, momentum: 0.1, useBatchStatistics: true, updateRunning: false, fuseRelu: false };
const attrs: reference.ConvAttrs = { stride: [1, 1], padding: { top: 0, left: 0, bottom: 0, right: 0 }, dilation: [1, 1], groups: 1 };

/** Channels of x that differ in mean and are correlated, as those of a network are. */
function correlated(shape: readonly number[], rng: ReturnType<typeof createRng>): Ref {
  const [, channels, h, w] = shape as [number, number, number, number];
  const x = random(shape, rng);
  return map(x, (v, i) => {
    const c = Math.floor(i / (h * w)) % channels;
    return Math.fround(v + 0.3 * c - 1 + (c > 0 ? 0.5 * x.data[i - h * w]! : 0));
  });
}

test.each([
  { x: [4, 8, 6, 6], outputs: 48 },
  { x: [2, 24, 5, 7], outputs: 144 },
  { x: [3, 5, 4, 4], outputs: 7 },
  { x: [8, 40, 4, 4], outputs: 240 },
])("a 1×1 convolution and its batch normalisation in one, $x → $outputs", ({ x: shape, outputs }) => {
  const rng = createRng(3);
  const inputs = shape[1]!;
  const x = correlated(shape, rng);
  const weight = random([outputs, inputs, 1, 1], rng, { scale: 1 / Math.sqrt(inputs) });
  const scale = map(random([outputs], rng), (v) => 1 + 0.3 * v);
  checkOp({
    inputs: [x, weight, scale, random([outputs], rng)],
    rng,
    tolerance: 1e-3, // means of up to 11 standard deviations: the covariance cancels in float32
    engine: (tape, [a, w, s, t]) =>
      pointwiseNorm(
        tape,
        a!,
        w!,
        {
          scale: s!,
          shift: t!,
          mean: fromArray([outputs], new Float32Array(outputs)),
          variance: fromArray([outputs], new Float32Array(outputs)),
        },
        options,
      ),
    reference: (a, w, s, t) => reference.batchNorm(reference.conv(a!, w!, null, attrs), s!, t!, options.epsilon),
    gradients: (dy, a, w, s) => {
      const wide = reference.conv(a!, w!, null, attrs);
      const { dx, dscale, dshift } = reference.batchNormBackward(wide, s!, options.epsilon, dy);
      const back = reference.convBackward(a!, w!, attrs, dx);
      return [back.dx, back.dw, dscale, dshift];
    },
  });
});

test("moves the running statistics as batch normalisation does", () => {
  using _scope = createScope();
  const rng = createRng(5);
  const x = correlated([4, 6, 5, 5], rng);
  const weight = random([20, 6, 1, 1], rng);
  const vector = (value: number) => fromArray([20], new Float32Array(20).fill(value));
  const state = { scale: vector(1), shift: vector(0), mean: vector(2), variance: vector(3) };
  pointwiseNorm(null, fromArray(x.shape, x.data), fromArray(weight.shape, weight.data), state, { ...options, updateRunning: true });
  const { mean, variance } = reference.channelStatistics(reference.conv(x, weight, null, attrs));
  expectClose(
    valuesOf(state.mean),
    mean.map((m) => 0.9 * 2 + 0.1 * m),
    "mean",
  );
  expectClose(
    valuesOf(state.variance),
    variance.map((v) => 0.9 * 3 + (0.1 * v * 100) / 99),
    "variance",
    1e-4,
  );
});

test("a constant output has variance 0 and finite gradients", () => {
  const rng = createRng(6);
  const vector = (value: number) => fromArray([8], new Float32Array(8).fill(value));
  checkOp({
    inputs: [random([2, 4, 4, 4], rng), map(random([8, 4, 1, 1], rng), () => 0)],
    rng,
    engine: (tape, [x, w]) =>
      pointwiseNorm(tape, x!, w!, { scale: vector(1), shift: vector(0.5), mean: vector(0), variance: vector(1) }, options),
    reference: () => map(random([2, 8, 4, 4], rng), () => 0.5),
    gradients: (_, x) => [map(x!, () => 0)],
  });
});

test("is used for wide expansions of many pixels only", () => {
  expect(isFusionWorthwhile([64, 24, 32, 32], [144, 24, 1, 1])).toBe(true);
  expect(isFusionWorthwhile([64, 24, 32, 32], [48, 24, 1, 1])).toBe(false);
  expect(isFusionWorthwhile([1, 24, 4, 4], [144, 24, 1, 1])).toBe(false);
  expect(isFusionWorthwhile([64, 256, 32, 32], [1536, 256, 1, 1])).toBe(false);
});
