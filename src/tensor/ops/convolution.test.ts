import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { random } from "../../../test/reference/array.ts";
import { checkOp } from "../../../test/reference/engine.ts";
import * as reference from "../../../test/reference/ops.ts";
import { createRng } from "../../util/rng.ts";
import { createScope, fromArray } from "../tensor.ts";
import { affine } from "./activation.ts";
import { conv2d } from "./convolution.ts";
import type { ConvolutionOptions } from "./convolution-plan.ts";

const even = (p: number) => ({ top: p, left: p, bottom: p, right: p });
const plain: ConvolutionOptions = { stride: [1, 1], padding: even(1), dilation: [1, 1], groups: 1 };
type Case = readonly [name: string, x: readonly number[], weight: readonly number[], options: Partial<ConvolutionOptions>];

const cases: readonly Case[] = [
  ["3x3", [2, 16, 9, 9], [24, 16, 3, 3], {}],
  ["an image of 3 channels", [2, 3, 12, 12], [16, 3, 3, 3], { stride: [2, 2] }],
  ["1x1", [3, 24, 6, 6], [40, 24, 1, 1], { padding: even(0) }],
  ["1x1 with stride 2", [2, 16, 8, 8], [32, 16, 1, 1], { padding: even(0), stride: [2, 2] }],
  ["odd channel counts", [2, 5, 7, 7], [11, 5, 3, 3], {}],
  ["two groups", [2, 16, 8, 8], [32, 8, 3, 3], { groups: 2 }],
  ["groups that cut channel blocks", [2, 12, 7, 7], [24, 4, 3, 3], { groups: 3 }],
  ["unequal strides", [2, 8, 9, 10], [8, 8, 3, 3], { stride: [2, 1] }],
  ["asymmetric padding", [2, 8, 9, 9], [16, 8, 3, 3], { stride: [2, 2], padding: { top: 0, left: 0, bottom: 1, right: 1 } }],
  ["a rectangular kernel", [2, 8, 9, 9], [8, 8, 1, 5], { padding: { top: 0, left: 2, bottom: 0, right: 2 } }],
  ["dilation", [2, 8, 11, 11], [8, 8, 3, 3], { dilation: [2, 2], padding: even(2) }],
  ["depthwise 3x3", [2, 32, 8, 8], [32, 1, 3, 3], { groups: 32 }],
  ["depthwise 3x3 with stride 2", [2, 24, 9, 9], [24, 1, 3, 3], { groups: 24, stride: [2, 2] }],
  ["depthwise 5x5", [2, 32, 8, 8], [32, 1, 5, 5], { groups: 32, padding: even(2) }],
  ["depthwise 5x5 with stride 2", [2, 40, 9, 9], [40, 1, 5, 5], { groups: 40, padding: even(2), stride: [2, 2] }],
  ["depthwise 7x7", [2, 16, 8, 8], [16, 1, 7, 7], { groups: 16, padding: even(3) }],
  ["depthwise 7x7 with stride 2", [2, 48, 9, 9], [48, 1, 7, 7], { groups: 48, padding: even(3), stride: [2, 2] }],
  ["depthwise 7x7 larger than the image", [2, 16, 4, 4], [16, 1, 7, 7], { groups: 16, padding: even(3) }],
  [
    "depthwise 5x5 with asymmetric padding",
    [2, 16, 8, 8],
    [16, 1, 5, 5],
    { groups: 16, stride: [2, 2], padding: { top: 1, left: 1, bottom: 2, right: 2 } },
  ],
  ["a channel multiplier of 2", [2, 8, 8, 8], [16, 1, 3, 3], { groups: 8 }],
  ["one image", [1, 16, 5, 5], [16, 16, 3, 3], {}],
];

function check(
  x: readonly number[],
  weight: readonly number[],
  options: ConvolutionOptions,
  hasBias: boolean,
  seed = 1,
  tolerance = 2e-5,
): void {
  const rng = createRng(seed);
  const scale = 1 / Math.sqrt(weight[1]! * weight[2]! * weight[3]!);
  const inputs = [random(x, rng), random(weight, rng, { scale }), ...(hasBias ? [random([weight[0]!], rng)] : [])];
  checkOp({
    inputs,
    rng,
    tolerance,
    engine: (tape, [a, w, b]) => conv2d(tape, a!, w!, b ?? null, options),
    reference: (a, w, b) => reference.conv(a!, w!, b ?? null, options),
    gradients: (dy, a, w) => {
      const { dx, dw, db } = reference.convBackward(a!, w!, options, dy);
      return hasBias ? [dx, dw, db] : [dx, dw];
    },
  });
}

describe.each([false, true])("convolution with bias %s equals the reference, forward and backward", (hasBias) => {
  test.each(cases)("%s", (_, x, weight, options) => check(x, weight, { ...plain, ...options }, hasBias, 1, 1e-4));
});

test("a batch large enough for Winograd", () => check([128, 32, 8, 8], [32, 32, 3, 3], plain, false, 3, 1e-3));

test("any geometry", () => {
  const geometry = fc.record({
    n: fc.integer({ min: 1, max: 3 }),
    groups: fc.integer({ min: 1, max: 3 }),
    i: fc.integer({ min: 1, max: 9 }),
    o: fc.integer({ min: 1, max: 9 }),
    h: fc.integer({ min: 4, max: 9 }),
    w: fc.integer({ min: 4, max: 9 }),
    kernel: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
    stride: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
    pads: fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 2 }))),
    hasBias: fc.boolean(),
  });
  fc.assert(
    fc.property(geometry, ({ n, groups, i, o, h, w, kernel, stride, pads, hasBias }) => {
      const [top, left, bottom, right] = pads as [number, number, number, number];
      check(
        [n, i * groups, h, w],
        [o * groups, i, ...kernel],
        { stride, padding: { top, left, bottom, right }, dilation: [1, 1], groups },
        hasBias,
        5,
        1e-4,
      );
    }),
    { numRuns: 40 },
  );
});

test.each([2, 40])("clipping the input in passing equals clip and then convolve, batch %i", (n) => {
  const rng = createRng(9);
  const options = { ...plain, padding: even(0) };
  const clipped = { f: (v: number) => Math.min(6, Math.max(0, v)), d: (v: number) => (v > 0 && v < 6 ? 1 : 0) };
  const x = random([n, 64, 32, 32], rng, { scale: 4, avoid: [0, 6], gap: 1e-2 });
  const apply = (a: typeof x, f: (v: number) => number) => ({ shape: a.shape, data: a.data.map(f) });
  checkOp({
    inputs: [x, random([8, 64, 1, 1], rng, { scale: 0.1 })],
    rng,
    tolerance: 2e-3,
    // the leaf must not be written over: the op's caller vouches for its input, here a copy of it
    engine: (tape, [a, w]) => conv2d(tape, affine(tape, a!, 1, 0), w!, null, options, { min: 0, max: 6, isDone: false }),
    reference: (a, w) => reference.conv(apply(a!, clipped.f), w!, null, options),
    gradients: (dy, a, w) => {
      const { dx, dw } = reference.convBackward(apply(a!, clipped.f), w!, options, dy);
      return [{ shape: dx.shape, data: dx.data.map((g, i) => g * clipped.d(a!.data[i]!)) }, dw];
    },
  });
});

test("says what must fit", () => {
  using _scope = createScope();
  const x = fromArray([1, 3, 4, 4], new Float32Array(48));
  const weight = fromArray([8, 16, 3, 3], new Float32Array(8 * 16 * 9));
  expect(() => conv2d(null, x, weight, null, plain)).toThrow(
    "conv2d: weight must have 3/1 input channels to match x f32[1,3,4,4] in 1 groups, got weight f32[8,16,3,3]",
  );
  const small = fromArray([8, 3, 7, 7], new Float32Array(8 * 3 * 49));
  expect(() => conv2d(null, x, small, null, { ...plain, padding: even(0) })).toThrow(/conv2d: the kernel must fit into the padded input/);
  const fits = fromArray([8, 3, 3, 3], new Float32Array(8 * 27));
  expect(() => conv2d(null, x, fits, fromArray([4], [0, 0, 0, 0]), plain)).toThrow("conv2d: bias must be f32[8], got f32[4]");
});
