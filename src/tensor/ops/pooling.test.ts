import { expect, test } from "vitest";
import { random } from "../../../test/reference/array.ts";
import { checkOp } from "../../../test/reference/engine.ts";
import * as reference from "../../../test/reference/ops.ts";
import { createRng } from "../../util/rng.ts";
import { toArray } from "../layout.ts";
import { createTape } from "../tape.ts";
import { createParameter, createScope, freeParameter, fromArray, valuesOf } from "../tensor.ts";
import { averagePool, globalAveragePool, maxPool, type PoolOptions } from "./pooling.ts";

const none = { top: 0, left: 0, bottom: 0, right: 0 };
const cases: readonly [string, readonly number[], PoolOptions][] = [
  ["2x2", [2, 16, 8, 8], { kernel: [2, 2], stride: [2, 2], padding: none }],
  ["3x3 with padding", [2, 5, 9, 7], { kernel: [3, 3], stride: [2, 2], padding: { top: 1, left: 1, bottom: 1, right: 1 } }],
  ["asymmetric padding", [2, 8, 6, 6], { kernel: [3, 2], stride: [1, 2], padding: { top: 0, left: 0, bottom: 1, right: 1 } }],
  ["1x1 with stride 2", [2, 16, 8, 8], { kernel: [1, 1], stride: [2, 2], padding: none }],
];

test.each(cases)("maximum, %s", (_, shape, options) => {
  const rng = createRng(1);
  checkOp({
    inputs: [random(shape, rng)],
    rng,
    engine: (tape, [x]) => maxPool(tape, x!, options),
    reference: (x) => reference.maxPool(x!, options),
    gradients: (dy, x) => [reference.maxPoolBackward(x!, options, dy)],
  });
});

test.each(cases.flatMap(([name, ...rest]) => [true, false].map((counts) => [name, counts, ...rest] as const)))(
  "average, %s, padding counted: %s",
  (_, countIncludesPadding, shape, options) => {
    const rng = createRng(2);
    checkOp({
      inputs: [random(shape, rng)],
      rng,
      engine: (tape, [x]) => averagePool(tape, x!, { ...options, countIncludesPadding }),
      reference: (x) => reference.averagePool(x!, options, countIncludesPadding),
      gradients: (dy, x) => [reference.averagePoolBackward(x!, options, countIncludesPadding, dy)],
    });
  },
);

test("global average", () => {
  const rng = createRng(3);
  const options: PoolOptions = { kernel: [5, 3], stride: [1, 1], padding: none };
  checkOp({
    inputs: [random([2, 20, 5, 3], rng)],
    rng,
    engine: (tape, [x]) => globalAveragePool(tape, x!),
    reference: (x) => reference.averagePool(x!, options, false),
    gradients: (dy, x) => [reference.averagePoolBackward(x!, options, false, dy)],
  });
});

test("a tie gives its whole gradient to one cell", () => {
  const leaf = createParameter([1, 1, 2, 2], [1, 1, 1, 1]);
  {
    using _scope = createScope();
    const tape = createTape();
    const y = maxPool(tape, leaf, { kernel: [2, 2], stride: [2, 2], padding: none });
    expect([...toArray(y)]).toEqual([1]);
    tape.backward(new Map([[y, fromArray([1, 1, 1, 1], [1])]]));
    expect([...valuesOf(leaf.gradient!.tensor)]).toEqual([1, 0, 0, 0]);
  }
  freeParameter(leaf);
});

test("says that the window must fit", () => {
  using _scope = createScope();
  const x = fromArray([1, 1, 2, 2], [1, 2, 3, 4]);
  expect(() => maxPool(null, x, { kernel: [3, 3], stride: [1, 1], padding: none })).toThrow(
    "pool: the window 3,3 must fit into the padded input, got f32[1,1,2,2]",
  );
});
