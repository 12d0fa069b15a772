import { expect, test } from "vitest";
import { map, type Ref, random } from "../../../test/reference/array.ts";
import { checkOp, expectClose } from "../../../test/reference/engine.ts";
import * as reference from "../../../test/reference/ops.ts";
import { createRng } from "../../util/rng.ts";
import { createScope, fromArray, valuesOf } from "../tensor.ts";
import { type BatchNormOptions, batchNorm } from "./batch-norm.ts";

const options: BatchNormOptions = { epsilon: 1e-3, momentum: 0.1, useBatchStatistics: true, updateRunning: false, fuseRelu: false };
const shapes = [
  [4, 5, 3, 3],
  [2, 32, 8, 8],
  [3, 20, 5, 7],
  [8, 16, 1, 1],
];
const relu = (x: Ref) => map(x, (v) => Math.max(0, v));

/** The op with running statistics that hold `mean` and `variance`. */
function check(shape: readonly number[], fuseRelu: boolean, fixed: boolean): void {
  const rng = createRng(6);
  const channels = shape[1]!;
  const [x, scale, shift] = [random(shape, rng), map(random([channels], rng), (v) => 1 + 0.3 * v), random([channels], rng)];
  const statistics = { mean: random([channels], rng).data, variance: random([channels], rng).data.map((v) => 0.5 + v * v) };
  const given = fixed ? statistics : undefined;
  checkOp({
    inputs: [x, scale, shift],
    rng,
    tolerance: 2e-4,
    engine: (tape, [a, s, t]) =>
      batchNorm(
        tape,
        a!,
        { scale: s!, shift: t!, mean: fromArray([channels], statistics.mean), variance: fromArray([channels], statistics.variance) },
        { ...options, fuseRelu, useBatchStatistics: !fixed },
      ),
    reference: (a, s, t) => {
      const y = reference.batchNorm(a!, s!, t!, options.epsilon, given);
      return fuseRelu ? relu(y) : y;
    },
    gradients: (dy, a, s, t) => {
      const y = reference.batchNorm(a!, s!, t!, options.epsilon, given);
      const masked = fuseRelu ? map(dy, (g, i) => (y.data[i]! > 0 ? g : 0)) : dy;
      const { dx, dscale, dshift } = reference.batchNormBackward(a!, s!, options.epsilon, masked, given);
      return [dx, dscale, dshift];
    },
  });
}

test.each(shapes.map((shape) => ({ shape })))("normalises $shape by the batch's statistics", ({ shape }) => check(shape, false, false));
test.each(shapes.slice(0, 3).map((shape) => ({ shape })))("with the ReLU after it in one pass, $shape", ({ shape }) =>
  check(shape, true, false),
);
test.each(shapes.map((shape) => ({ shape })))("normalises $shape by the running statistics", ({ shape }) => check(shape, false, true));

test("running statistics move towards the batch's mean and unbiased variance", () => {
  using _scope = createScope();
  const rng = createRng(1);
  const x = random([4, 3, 5, 5], rng);
  const state = {
    scale: fromArray([3], [1, 1, 1]),
    shift: fromArray([3], [0, 0, 0]),
    mean: fromArray([3], [1, 2, 3]),
    variance: fromArray([3], [1, 1, 1]),
  };
  batchNorm(null, fromArray(x.shape, x.data), state, { ...options, updateRunning: true });
  const { mean, variance } = reference.channelStatistics(x);
  const count = 100;
  expectClose(
    valuesOf(state.mean),
    mean.map((m, c) => 0.9 * (c + 1) + 0.1 * m),
    "running mean",
  );
  expectClose(
    valuesOf(state.variance),
    variance.map((v) => 0.9 + (0.1 * v * count) / (count - 1)),
    "running variance",
  );
});

test("says which parameter does not fit", () => {
  using _scope = createScope();
  const x = fromArray([1, 4, 2, 2], new Float32Array(16));
  const four = fromArray([4], [1, 1, 1, 1]);
  const state = { scale: four, shift: fromArray([3], [0, 0, 0]), mean: four, variance: four };
  expect(() => batchNorm(null, x, state, options)).toThrow("batchNorm: shift must be f32[4] to match x f32[1,4,2,2], got f32[3]");
});
