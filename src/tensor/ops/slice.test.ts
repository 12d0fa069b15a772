import { expect, test } from "vitest";
import { random, zeros } from "../../../test/reference/array.ts";
import { checkOp } from "../../../test/reference/engine.ts";
import { createRng } from "../../util/rng.ts";
import { createScope, fromArray } from "../tensor.ts";
import { sliceVector, sliceWeight } from "./slice.ts";

test.each([
  { whole: [8, 6, 7, 7], slice: { out: 4, in: 3, kernel: 3 } },
  { whole: [8, 1, 5, 5], slice: { out: 8, in: 1, kernel: 5 } },
  { whole: [4, 6, 1, 1], slice: { out: 2, in: 6, kernel: 1 } },
])("first channels and centre of $whole", ({ whole, slice }) => {
  const rng = createRng(1);
  const margin = (whole[2]! - slice.kernel) / 2;
  const shape = [slice.out, slice.in, slice.kernel, slice.kernel];
  const indices: number[] = [];
  for (let o = 0; o < slice.out; o++)
    for (let i = 0; i < slice.in; i++)
      for (let r = 0; r < slice.kernel; r++)
        for (let c = 0; c < slice.kernel; c++) indices.push(((o * whole[1]! + i) * whole[2]! + margin + r) * whole[3]! + margin + c);
  checkOp({
    inputs: [random(whole, rng)],
    rng,
    engine: (tape, [w]) => sliceWeight(tape, w!, slice),
    reference: (w) => ({ shape, data: Float64Array.from(indices, (at) => w!.data[at]!) }),
    gradients: (dy) => {
      const dw = zeros(whole);
      for (const [i, at] of indices.entries()) dw.data[at] = dy.data[i]!;
      return [dw];
    },
  });
});

test("the first numbers of a vector", () => {
  const rng = createRng(2);
  checkOp({
    inputs: [random([9], rng)],
    rng,
    engine: (tape, [v]) => sliceVector(tape, v!, 4),
    reference: (v) => ({ shape: [4], data: v!.data.slice(0, 4) }),
    gradients: (dy) => [{ shape: [9], data: Float64Array.from({ length: 9 }, (_, i) => dy.data[i] ?? 0) }],
  });
});

test("says what can be sliced", () => {
  using _scope = createScope();
  const weight = fromArray([2, 2, 3, 3], new Float32Array(36));
  expect(() => sliceWeight(null, weight, { out: 2, in: 2, kernel: 2 })).toThrow(
    "sliceWeight: the slice must be a centred part of f32[2,2,3,3], got 2×2×2×2",
  );
  expect(() => sliceVector(null, fromArray([2], [1, 2]), 3)).toThrow("sliceVector: at most 2 numbers can be taken of f32[2], got 3");
});
