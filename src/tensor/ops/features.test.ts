import { expect, test } from "vitest";
import { map, random } from "../../../test/reference/array.ts";
import { checkOp, expectClose } from "../../../test/reference/engine.ts";
import * as reference from "../../../test/reference/ops.ts";
import { createRng } from "../../util/rng.ts";
import { toArray } from "../layout.ts";
import { createScope, fromArray } from "../tensor.ts";
import { relu } from "./activation.ts";
import { dropout, flatten, linear, reshape, softmax } from "./features.ts";

test.each([
  { n: 3, i: 20, o: 10 },
  { n: 1, i: 7, o: 1 },
  { n: 64, i: 33, o: 17 },
])("linear $n×$i → $o", ({ n, i, o }) => {
  const rng = createRng(1);
  checkOp({
    inputs: [random([n, i], rng), random([o, i], rng), random([o], rng)],
    rng,
    tolerance: 1e-4,
    engine: (tape, [x, w, b]) => linear(tape, x!, w!, b!),
    reference: (x, w, b) => reference.linear(x!, w!, b!),
    gradients: (dy, x, w) => {
      const { dx, dw, db } = reference.linearBackward(x!, w!, dy);
      return [dx, dw, db];
    },
  });
});

test("flatten and reshape read a blocked feature map in row-major order", () => {
  const rng = createRng(2);
  const relued = (v: number) => Math.max(0, v);
  for (const to of [
    [2, 45],
    [2, 9, 5, 1],
  ]) {
    checkOp({
      inputs: [random([2, 5, 3, 3], rng, { avoid: [0] })],
      rng,
      engine: (tape, [x]) => (to.length === 2 ? flatten(tape, relu(tape, x!)) : reshape(tape, relu(tape, x!), to)),
      reference: (x) => ({ shape: to, data: x!.data.map(relued) }),
      gradients: (dy, x) => [map(x!, (v, i) => (v > 0 ? dy.data[i]! : 0))],
    });
  }
});

test("softmax", () => {
  const rng = createRng(3);
  const rows = (x: Float64Array) => {
    const y = new Float64Array(x.length);
    for (let i = 0; i < x.length; i += 6) {
      const total = x.subarray(i, i + 6).reduce((sum, v) => sum + Math.exp(v), 0);
      for (let j = i; j < i + 6; j++) y[j] = Math.exp(x[j]!) / total;
    }
    return y;
  };
  checkOp({
    inputs: [random([4, 6], rng, { scale: 3 })],
    rng,
    engine: (tape, [x]) => softmax(tape, x!),
    reference: (x) => ({ shape: x!.shape, data: rows(x!.data) }),
    gradients: (dy, x) => {
      const y = rows(x!.data);
      return [
        map(x!, (_, at) => {
          const start = at - (at % 6);
          let dot = 0;
          for (let j = start; j < start + 6; j++) dot += dy.data[j]! * y[j]!;
          return y[at]! * (dy.data[at]! - dot);
        }),
      ];
    },
  });
});

test("dropout keeps the mean, zeroes its share, and gives gradients to what it kept", () => {
  using _scope = createScope();
  const x = fromArray([1, 10_000], new Float32Array(10_000).fill(1));
  const y = toArray(dropout(null, x, 0.3, createRng(5)));
  const zeroed = y.filter((v) => v === 0).length;
  expect(zeroed / y.length).toBeCloseTo(0.3, 1);
  expectClose([...new Set(y)].sort(), [0, 1 / 0.7], "values");
});

test("says which shapes do not fit", () => {
  using _scope = createScope();
  const x = fromArray([2, 3], [1, 2, 3, 4, 5, 6]);
  const weight = fromArray([4, 5], new Float32Array(20));
  expect(() => linear(null, x, weight, null)).toThrow("linear: weight must be [O,I] with the I of x f32[2,3], got f32[4,5]");
  expect(() => reshape(null, x, [7])).toThrow("reshape: [7] must have as many elements as x, got f32[2,3]");
});
