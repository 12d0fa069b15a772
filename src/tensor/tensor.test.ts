import { expect, test } from "vitest";
import { runtime } from "../onednn/runtime.ts";
import { createRng } from "../util/rng.ts";
import { toActivation, toArray } from "./layout.ts";
import { relu } from "./ops/activation.ts";
import { add, mul } from "./ops/combine.ts";
import { conv2d } from "./ops/convolution.ts";
import { createTape } from "./tape.ts";
import { createParameter, createScope, free, freeParameter, fromArray, type Tensor, valuesOf } from "./tensor.ts";

const used = () => runtime().pool.statistics().usedBytes;
const even = { top: 1, left: 1, bottom: 1, right: 1 };

test("a scope frees what was made in it, and nothing else", () => {
  const before = used();
  {
    using outer = createScope();
    let kept: Tensor;
    {
      using inner = createScope();
      kept = inner.keep(fromArray([4, 4], new Float32Array(16).fill(2)));
      fromArray([64, 64], new Float32Array(4096));
    }
    expect(kept.isFreed).toBe(false);
    expect(valuesOf(kept)[15]).toBe(2);
    expect(outer).toBeDefined();
  }
  expect(used()).toBe(before);
});

test("a scope frees also when its body throws", () => {
  const before = used();
  expect(() => {
    using _scope = createScope();
    fromArray([128, 128], new Float32Array(16384));
    throw new Error("in the middle");
  }).toThrow("in the middle");
  expect(used()).toBe(before);
});

test("a forward and backward pass leaves nothing behind", () => {
  const rng = createRng(1);
  const weight = createParameter(
    [16, 16, 3, 3],
    new Float32Array(2304).map(() => rng.normal()),
  );
  const pass = () => {
    using _scope = createScope();
    const tape = createTape();
    const x = fromArray(
      [4, 16, 8, 8],
      new Float32Array(4096).map(() => rng.normal()),
    );
    const options = { stride: [1, 1], padding: even, dilation: [1, 1], groups: 1 } as const;
    const y = conv2d(tape, toActivation(x), weight, null, options);
    const z = mul(tape, add(tape, y, relu(tape, y)), y);
    tape.backward(new Map([[z, toActivation(fromArray(z.shape, new Float32Array(4096).fill(1)))]]));
  };
  pass();
  const [afterOne, total] = [used(), runtime().pool.statistics().totalBytes];
  for (let i = 0; i < 20; i++) pass();
  expect(used()).toBe(afterOne);
  expect(runtime().pool.statistics().totalBytes).toBe(total);
  freeParameter(weight);
});

test("a value read twice gets the sum of both gradients", () => {
  const leaf = createParameter([1, 3], [1, -2, 3]);
  {
    using _scope = createScope();
    const tape = createTape();
    const y = add(tape, relu(tape, leaf), mul(tape, leaf, leaf));
    tape.backward(new Map([[y, fromArray([1, 3], [1, 1, 1])]]));
    expect([...valuesOf(leaf.gradient!.tensor)]).toEqual([1 + 2, 0 - 4, 1 + 6]);
  }
  freeParameter(leaf);
});

test("blocked and row-major layouts hold the same numbers", () => {
  using _scope = createScope();
  const numbers = Float32Array.from({ length: 2 * 5 * 3 * 3 }, (_, i) => i);
  expect(toArray(toActivation(fromArray([2, 5, 3, 3], numbers)))).toEqual(numbers);
});

test("freed tensors cannot be read, shapes must hold their numbers", () => {
  const tensor = fromArray([2], [1, 2]);
  free(tensor);
  expect(() => valuesOf(tensor)).toThrow("internal: a freed tensor was read");
  expect(() => fromArray([3], [1, 2])).toThrow("tensor: [3] must get 3 numbers, got 2");
  expect(() => fromArray([1, 1, 1], [1])).toThrow("tensor: shape must have 1, 2, 4 or 5 axes, got [1,1,1]");
});
