import { expect, test } from "vitest";
import { map, type Ref, random, zeros } from "../../../test/reference/array.ts";
import { checkOp } from "../../../test/reference/engine.ts";
import { createRng } from "../../util/rng.ts";
import { createScope, fromArray } from "../tensor.ts";
import { add, concat, mul, padChannels } from "./combine.ts";

const shapes = [
  [2, 5, 3, 4],
  [2, 32, 4, 4],
];
const plane = ([, , h, w]: readonly number[]) => h! * w!;

test.each(shapes.map((shape) => ({ shape })))("add, $shape; a sum with itself counts twice", ({ shape }) => {
  const rng = createRng(1);
  checkOp({
    inputs: [random(shape, rng), random(shape, rng)],
    rng,
    engine: (tape, [a, b]) => add(tape, a!, b!),
    reference: (a, b) => map(a!, (v, i) => v + b!.data[i]!),
    gradients: (dy) => [dy, dy],
  });
  checkOp({
    inputs: [random(shape, rng)],
    rng,
    engine: (tape, [a]) => add(tape, a!, a!),
    reference: (a) => map(a!, (v) => 2 * v),
    gradients: (dy) => [map(dy, (g) => 2 * g)],
  });
});

test.each(shapes.map((shape) => ({ shape })))("mul of equal shapes and spread over H×W, $shape", ({ shape }) => {
  const rng = createRng(2);
  checkOp({
    inputs: [random(shape, rng), random(shape, rng)],
    rng,
    engine: (tape, [a, b]) => mul(tape, a!, b!),
    reference: (a, b) => map(a!, (v, i) => v * b!.data[i]!),
    gradients: (dy, a, b) => [map(dy, (g, i) => g * b!.data[i]!), map(dy, (g, i) => g * a!.data[i]!)],
  });
  checkOp({
    inputs: [random(shape, rng), random([shape[0]!, shape[1]!, 1, 1], rng)],
    rng,
    engine: (tape, [a, b]) => mul(tape, a!, b!),
    reference: (a, b) => map(a!, (v, i) => v * b!.data[Math.floor(i / plane(shape))]!),
    gradients: (dy, a, b) => {
      const db = zeros(b!.shape);
      for (const [i, g] of dy.data.entries()) db.data[Math.floor(i / plane(shape))]! += g * a!.data[i]!;
      return [map(dy, (g, i) => g * b!.data[Math.floor(i / plane(shape))]!), db];
    },
  });
});

/** Along channels, in float64. */
function joined(...parts: Ref[]): Ref {
  const [n, , h, w] = parts[0]!.shape as [number, number, number, number];
  const channels = parts.reduce((sum, part) => sum + part.shape[1]!, 0);
  const y = zeros([n, channels, h, w]);
  for (let b = 0, at = 0; b < n; b++) {
    for (const part of parts) {
      const size = part.shape[1]! * h * w;
      y.data.set(part.data.subarray(b * size, (b + 1) * size), at);
      at += size;
    }
  }
  return y;
}

/** The channels of each part again. */
function cut(dy: Ref, parts: readonly Ref[]): Ref[] {
  const [n, channels, h, w] = dy.shape as [number, number, number, number];
  let from = 0;
  return parts.map((part) => {
    const own = part.shape[1]!;
    const dx = zeros(part.shape);
    for (let b = 0; b < n; b++) {
      const start = (b * channels + from) * h * w;
      dx.data.set(dy.data.subarray(start, start + own * h * w), b * own * h * w);
    }
    from += own;
    return dx;
  });
}

test.each([{ channels: [16, 32] }, { channels: [3, 5, 8] }, { channels: [7] }, { channels: [16, 4, 12] }])(
  "concat of $channels channels",
  ({ channels }) => {
    const rng = createRng(3);
    checkOp({
      inputs: channels.map((c) => random([2, c, 3, 3], rng)),
      rng,
      engine: (tape, inputs) => concat(tape, inputs),
      reference: joined,
      gradients: (dy, ...inputs) => cut(dy, inputs),
    });
  },
);

test("padChannels appends zeros", () => {
  const rng = createRng(4);
  checkOp({
    inputs: [random([2, 16, 3, 3], rng)],
    rng,
    engine: (tape, [x]) => padChannels(tape, x!, 16),
    reference: (x) => joined(x!, zeros([2, 16, 3, 3])),
    gradients: (dy, x) => [cut(dy, [x!])[0]!],
  });
});

test("says which shapes do not fit", () => {
  using _scope = createScope();
  const a = fromArray([1, 4, 2, 2], new Float32Array(16));
  const b = fromArray([1, 8, 2, 2], new Float32Array(32));
  expect(() => add(null, a, b)).toThrow("add: shapes must be equal, got f32[1,4,2,2] and f32[1,8,2,2]");
  expect(() => mul(null, a, b)).toThrow("mul: the second factor must be f32[1,4,2,2] or [N,C,1,1] of it, got f32[1,8,2,2]");
});
