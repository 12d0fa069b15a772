import { expect, test } from "vitest";
import { map, random } from "../../../test/reference/array.ts";
import { checkOp } from "../../../test/reference/engine.ts";
import { elementWise } from "../../../test/reference/ops.ts";
import { createRng } from "../../util/rng.ts";
import { toArray } from "../layout.ts";
import { createTape, type Tape } from "../tape.ts";
import { createParameter, createScope, freeParameter, fromArray, type Tensor, valuesOf } from "../tensor.ts";
import * as activation from "./activation.ts";

const ops: Record<keyof typeof elementWise, (tape: Tape, x: Tensor) => Tensor> = {
  relu: activation.relu,
  relu6: (tape, x) => activation.clip(tape, x, 0, 6),
  leakyRelu: (tape, x) => activation.leakyRelu(tape, x, 0.1),
  sigmoid: activation.sigmoid,
  hardSwish: activation.hardSwish,
  hardSigmoid: activation.hardSigmoid,
};

test.each(Object.keys(elementWise) as (keyof typeof elementWise)[])("%s equals the reference on images and on features", (name) => {
  const { f, d, kinks } = elementWise[name];
  for (const shape of [
    [2, 5, 7, 3],
    [2, 32, 4, 4],
    [3, 19],
  ]) {
    const rng = createRng(2);
    checkOp({
      inputs: [random(shape, rng, { scale: 4, avoid: kinks })],
      rng,
      engine: (tape, [x]) => ops[name](tape, x!),
      reference: (x) => map(x!, f),
      gradients: (dy, x) => [map(dy, (g, i) => g * d(x!.data[i]!))],
    });
  }
});

test("affine is a·x + b", () => {
  const rng = createRng(4);
  checkOp({
    inputs: [random([2, 6, 3, 3], rng)],
    rng,
    engine: (tape, [x]) => activation.affine(tape, x!, -2, 0.5),
    reference: (x) => map(x!, (v) => -2 * v + 0.5),
    gradients: (dy) => [map(dy, (g) => -2 * g)],
  });
});

test("relu and clip have derivative 0 exactly at their bounds", () => {
  const leaf = createParameter([1, 4], [0, 6, -0, 3]);
  {
    using _scope = createScope();
    const tape = createTape();
    const y = activation.clip(tape, leaf, 0, 6);
    expect([...toArray(y)]).toEqual([0, 6, 0, 3].map((v) => expect.closeTo(v)));
    tape.backward(new Map([[y, fromArray([1, 4], [1, 1, 1, 1])]]));
    expect([...valuesOf(leaf.gradient!.tensor)]).toEqual([0, 0, 0, 1]);
  }
  freeParameter(leaf);
});
