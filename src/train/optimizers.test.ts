import { describe, expect, test } from "vitest";
import type { ParamSpec } from "../graph/params.ts";
import { createParameters, type ParameterStore } from "../nn/parameters.ts";
import { copy } from "../tensor/layout.ts";
import { fromArray, valuesOf } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { createAdam, createSgd, type Optimizer } from "./optimizers.ts";

const spec = (name: string, role: ParamSpec["role"]): ParamSpec => ({
  name,
  node: name,
  role,
  op: "linear",
  shape: [2],
  fanIn: 2,
  fanOut: 1,
  isTrainable: true,
});
const store = () => createParameters(new Map([spec("w", "weight"), spec("b", "bias")].map((s) => [s.name, s])), createRng(1));
const setGradient = (params: ParameterStore, name: string, g: readonly number[]) => {
  const { gradient } = params.get(name);
  copy(fromArray([2], g), gradient!.tensor);
  gradient!.isSet = true;
};

test("SGD with Nesterov momentum: two steps by hand; decay acts on weights alone", () => {
  using params = store();
  for (const name of ["w", "b"]) valuesOf(params.get(name)).set([1, -2]);
  const sgd = createSgd(params, { momentum: 0.9, weightDecay: 0.1 });
  const [w, b] = [
    [1, -2],
    [1, -2],
  ];
  const [vw, vb] = [
    [0, 0],
    [0, 0],
  ];
  for (const g of [
    [0.5, 1],
    [-0.25, 2],
  ]) {
    for (const name of ["w", "b"]) setGradient(params, name, g);
    sgd.step(0.1);
    for (let i = 0; i < 2; i++) {
      const gw = g[i]! + 0.1 * w[i]!;
      vw[i] = 0.9 * vw[i]! + gw;
      w[i]! -= 0.1 * (gw + 0.9 * vw[i]!);
      vb[i] = 0.9 * vb[i]! + g[i]!;
      b[i]! -= 0.1 * (g[i]! + 0.9 * vb[i]!);
    }
  }
  expect([...valuesOf(params.get("w"))]).toEqual(w.map((v) => expect.closeTo(v, 5)));
  expect([...valuesOf(params.get("b"))]).toEqual(b.map((v) => expect.closeTo(v, 5)));
});

test("Adam: the first step has the size of the learning rate whatever the gradient's", () => {
  using params = store();
  valuesOf(params.get("w")).set([1, 1]);
  setGradient(params, "w", [1e-3, -50]);
  createAdam(params).step(0.01);
  expect([...valuesOf(params.get("w"))]).toEqual([expect.closeTo(0.99, 4), expect.closeTo(1.01, 4)]);
});

describe.each([
  ["sgd", createSgd, 0.05],
  ["adam", createAdam, 0.2],
] as const)("%s", (_, create: (params: ParameterStore) => Optimizer, lr) => {
  /** ∇ of (x − 3)² + 10·(y + 1)². */
  const bowl = ([x, y]: ArrayLike<number> & Iterable<number>) => [2 * (x! - 3), 20 * (y! + 1)];
  const descend = (params: ParameterStore, optimizer: Optimizer, steps: number) => {
    for (let i = 0; i < steps; i++) {
      setGradient(params, "w", bowl(valuesOf(params.get("w"))));
      optimizer.step(lr / (1 + i / 50));
    }
  };

  test("reaches the bottom of a bowl", () => {
    using params = store();
    descend(params, create(params), 400);
    const [x, y] = valuesOf(params.get("w"));
    expect(x).toBeCloseTo(3, 1);
    expect(y).toBeCloseTo(-1, 1);
  });

  test("parameters without a gradient stay, also when they have momentum", () => {
    using params = store();
    const optimizer = create(params);
    setGradient(params, "b", [1, 1]);
    optimizer.step(lr);
    const before = [...valuesOf(params.get("b"))];
    descend(params, optimizer, 5);
    expect([...valuesOf(params.get("b"))]).toEqual(before);
  });

  test("goes on from a saved state as if nothing had happened", () => {
    using a = store();
    using b = store();
    const [first, second] = [create(a), create(b)];
    descend(a, first, 10);
    descend(b, second, 5);
    const resumed = create(b);
    resumed.restore(second.state());
    for (let i = 5; i < 10; i++) {
      setGradient(b, "w", bowl(valuesOf(b.get("w"))));
      resumed.step(lr / (1 + i / 50));
    }
    expect([...valuesOf(b.get("w"))]).toEqual([...valuesOf(a.get("w"))]);
  });
});
