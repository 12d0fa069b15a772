import { expect, test } from "vitest";
import { map, random } from "../../../test/reference/array.ts";
import { checkOp, expectClose } from "../../../test/reference/engine.ts";
import * as reference from "../../../test/reference/ops.ts";
import { createRng } from "../../util/rng.ts";
import { toArray } from "../layout.ts";
import { createTape } from "../tape.ts";
import { createParameter, createScope, freeParameter, fromArray, valuesOf } from "../tensor.ts";
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

test("dropout zeroes its share, keeps the mean, and gives gradients to what it kept", () => {
  const count = 10_000;
  const leaf = createParameter([1, count], new Float32Array(count).fill(1));
  {
    using _scope = createScope();
    const tape = createTape();
    const y = dropout(tape, leaf, 0.3, createRng(5));
    const kept = toArray(y);
    expect(kept.filter((v) => v === 0).length / count).toBeCloseTo(0.3, 1);
    expectClose([...new Set(kept)].sort(), [0, 1 / 0.7], "values");
    tape.backward(new Map([[y, fromArray([1, count], new Float32Array(count).fill(2))]]));
    expectClose(
      valuesOf(leaf.gradient!.tensor),
      kept.map((v) => 2 * v),
      "gradient",
    );
  }
  freeParameter(leaf);
});

test("says which shapes do not fit", () => {
  using _scope = createScope();
  const x = fromArray([2, 3], [1, 2, 3, 4, 5, 6]);
  const weight = fromArray([4, 5], new Float32Array(20));
  expect(() => linear(null, x, weight, null)).toThrow("linear: weight must be [O,I] with the I of x f32[2,3], got f32[4,5]");
  expect(() => reshape(null, x, [7])).toThrow("reshape: [7] must have as many elements as x, got f32[2,3]");
});
