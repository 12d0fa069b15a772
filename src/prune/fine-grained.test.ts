import fc from "fast-check";
import { expect, test } from "vitest";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import { importOnnx } from "../onnx/import/import.ts";
import { createSession } from "../onnx/session.ts";
import { valuesOf } from "../tensor/tensor.ts";
import { applyMasks, withMasks } from "../train/mask.ts";
import { createSgd } from "../train/optimizers.ts";
import { createRng } from "../util/rng.ts";
import { analyse } from "./environment.ts";
import { boundedSparsity, createSparseEnvironment, magnitudeMask, sparseLayers, uniformSparsity } from "./fine-grained.ts";

test("the bound follows algorithm 1 of the paper", () => {
  const sizes = [100, 200, 700];
  // Nothing must go from the first layer as long as later ones can lose enough: 0.5·1000 − 0.9·900 < 0.
  expect(boundedSparsity(0.3, 0, sizes, 0, 0.5, 0.9)).toBe(0.3);
  expect(boundedSparsity(0.95, 0, sizes, 0, 0.5, 0.9)).toBe(0.9);
  // Before the last layer 500 − 0.6·700 − 10 = 70 of 200 must go, and of the last all that is missing.
  expect(boundedSparsity(0, 1, sizes, 10, 0.5, 0.6)).toBeCloseTo(70 / 200, 12);
  expect(boundedSparsity(0, 2, sizes, 100, 0.5, 0.6)).toBeCloseTo(400 / 700, 12);
});

const graph = buildNetwork("resnet-20", { input: [3, 32, 32], classes: 10 });
function model() {
  using params = createParameters(paramSpecs(graph), createRng(1));
  return { graph, weights: exportWeights(params) };
}

test("every policy reaches the density, whatever the agent does", () => {
  const prunable = analyse(graph);
  const layers = sparseLayers(prunable, model());
  const total = layers.reduce((sum, { size }) => sum + size, 0);
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 0.9, noNaN: true }), fc.nat(10000), (density, seed) => {
      const rng = createRng(seed);
      const { decisions: kept, steps } = createSparseEnvironment({ prunable, layers, density, mostRemoved: 0.95 }).play(() =>
        rng.uniform(),
      );
      const sum = kept.reduce((a, b) => a + b, 0);
      expect(sum).toBeLessThanOrEqual(density * total + 1);
      expect(kept.every((n) => n >= 1)).toBe(true);
      for (const { state } of steps) for (const value of state) expect(value).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 30 },
  );
  const lazy = createSparseEnvironment({ prunable, layers, density: 0.4, mostRemoved: 0.95 }).play(() => 1).decisions;
  expect(lazy.reduce((a, b) => a + b, 0) / total).toBeGreaterThan(0.39);
});

test("the largest weights stay, and stay alone through training steps", () => {
  const weight = { shape: [2, 3], data: Float32Array.of(1, -5, 0.5, 3, -2, 0) };
  expect([...magnitudeMask(weight, 3)]).toEqual([0, 1, 0, 1, 1, 0]);
  using params = createParameters(paramSpecs(graph), createRng(2));
  const name = "classifier.weight";
  const masks = new Map([[name, magnitudeMask({ shape: [], data: valuesOf(params.get(name)) }, 50)]]);
  applyMasks(params, masks);
  const optimizer = withMasks(createSgd(params), params, masks);
  const gradient = params.get(name).gradient!;
  for (let i = 0; i < 3; i++) {
    valuesOf(gradient.tensor).fill(1);
    gradient.isSet = true;
    optimizer.step(0.1);
  }
  expect(valuesOf(params.get(name)).filter((v) => v !== 0)).toHaveLength(50);
});

test("a sparse file is as much smaller as its zeros are many, loads in ONNX Runtime and computes the same", async () => {
  const { weights } = model();
  const layers = sparseLayers(analyse(graph), { graph, weights });
  const density = 0.2;
  const kept = uniformSparsity(layers, density);
  const sparse = new Map(weights);
  for (const [i, { weight }] of layers.entries()) {
    const { shape, data } = weights.get(weight)!;
    const mask = magnitudeMask({ shape, data }, kept[i]!);
    sparse.set(weight, { shape, data: data.map((v, at) => v * mask[at]!) });
  }
  const pruned = { graph, weights: sparse };
  const [dense, small] = [exportOnnx(pruned), exportOnnx(pruned, { sparse: true })];
  const weightBytes = 4 * layers.reduce((sum, { size }) => sum + size, 0);
  expect(dense.length - small.length).toBeGreaterThan(0.7 * weightBytes);
  const x = Float32Array.from({ length: 2 * 3072 }, (_, i) => Math.sin(i));
  const run = async (bytes: Uint8Array) => {
    const session = await createSession(bytes);
    const y = await session.run(x, [2, 3, 32, 32]);
    await session.close();
    return [...y];
  };
  expect(await run(small)).toEqual(await run(dense));
  const back = await importOnnx(small, "sparse.onnx");
  const whole = await importOnnx(dense, "dense.onnx");
  expect(back.graph).toEqual(whole.graph);
  // Zeros lose their sign.
  for (const [name, { data }] of whole.weights)
    expect(
      back.weights.get(name)!.data.map((v) => v + 0),
      name,
    ).toEqual(data.map((v) => v + 0));
});
