/** @file Files of few bits: plain ONNX Runtime computes from them what the engine computed, and they are as small as promised. */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession } from "onnxruntime-node";
import { describe, expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph, Model } from "../graph/types.ts";
import type { Precision } from "../hardware/precision.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { exportOnnx } from "../onnx/export.ts";
import { decodeOnnx } from "../onnx/import/decode.ts";
import { importOnnx } from "../onnx/import/import.ts";
import { createSession } from "../onnx/session.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray, valuesOf } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { sampleActivations } from "./calibrate.ts";
import { quantizableLayers } from "./layers.ts";
import { createQuantization, type QuantizedNetwork } from "./network.ts";
import type { WeightScheme } from "./weights.ts";

const BATCH = 4;
function network(): Graph {
  const b = createBuilder({ name: "small", input: [3, 12, 12] });
  const stem = b.convBn(b.input, { name: "stem", outChannels: 16, kernel: 3, activation: "relu" });
  const block = b.mbconv(stem, { name: "block", outChannels: 16, expand: 3, kernel: 5, stride: 1 });
  return b.build(b.classifier(b.convBn(block, { name: "head", outChannels: 24, kernel: 1, activation: "relu6" }), { classes: 5 }));
}

/** Weights and statistics as of a trained network: nothing 0 or 1, scales of either sign. */
function randomModel(graph: Graph): Model {
  const rng = createRng(5);
  using params = createParameters(paramSpecs(graph), rng);
  for (const [name, { role }] of params.specs) {
    if (role === "weight") continue;
    const values = valuesOf(params.get(name));
    for (let i = 0; i < values.length; i++)
      values[i] =
        role === "variance" ? 0.5 + rng.uniform() : role === "scale" ? (i % 5 === 0 ? -1 : 1) * (0.5 + rng.uniform()) : 0.3 * rng.normal();
  }
  return { graph, weights: exportWeights(params) };
}

const model = randomModel(network());
const layers = quantizableLayers(model.graph);
const images = Float32Array.from({ length: BATCH * 432 }, (_, i) => Math.sin(i * 1.7) + Math.cos(i * 0.31));
const samples = (() => {
  using params = createParameters(paramSpecs(model.graph), createRng(0));
  for (const [name, { data }] of model.weights) valuesOf(params.get(name)).set(data);
  return sampleActivations(model.graph, params, [images], createRng(1));
})();

const quantized = (
  scheme: WeightScheme,
  bits: (i: number) => Precision,
  areResultsQuantized = false,
  of: Model = model,
): QuantizedNetwork =>
  createQuantization({ model: of, layers, samples, scheme, calibration: "mse", rng: createRng(2), areResultsQuantized }).create(
    layers.map((_, i) => bits(i)),
  );

function engine({ graph, params }: QuantizedNetwork): Float32Array {
  using _scope = createScope();
  return toArray(run(graph, params, fromArray([BATCH, 3, 12, 12], images), { tape: null, mode: "eval" }));
}
const fileOf = ({ graph, params, encoded }: QuantizedNetwork): Uint8Array =>
  exportOnnx({ graph, weights: exportWeights(params) }, { quantized: encoded() });
async function onnx(bytes: Uint8Array): Promise<Float32Array> {
  const session = await createSession(bytes);
  const y = await session.run(images, [BATCH, 3, 12, 12]);
  await session.close();
  return y;
}
/** Operators after ONNX Runtime's own optimisation. */
async function optimizedOps(bytes: Uint8Array): Promise<string[]> {
  const path = join(mkdtempSync(join(tmpdir(), "fettle-ops-")), "optimized.onnx");
  const session = await InferenceSession.create(bytes, { optimizedModelFilePath: path, logSeverityLevel: 3 });
  await session.release();
  return decodeOnnx(readFileSync(path), path).nodes.map(({ opType }) => opType);
}
function largestDifference(a: Float32Array, b: Float32Array): number {
  const largest = b.reduce((max, v) => Math.max(max, Math.abs(v)), 1);
  return a.reduce((max, v, i) => Math.max(max, Math.abs(v - b[i]!)), 0) / largest;
}

describe.each(["linear", "kmeans"] as const)("%s weights", (scheme) => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])("of %d bits compute what the engine computes, packed", async (bits) => {
    using net = quantized(scheme, () => ({ weightBits: bits, activationBits: 32 }));
    const bytes = fileOf(net);
    expect(largestDifference(await onnx(bytes), engine(net))).toBeLessThan(1e-5);
    const count = layers.reduce((sum, { weightCount }) => sum + weightCount, 0);
    const books = scheme === "kmeans" ? 4 * 2 ** bits * layers.length : 0;
    expect(bytes.length).toBeGreaterThan((count * bits) / 8);
    expect(bytes.length).toBeLessThan((count * bits) / 8 + books + 6000);
  });
});

test("mixed bits and quantised activations: the file computes the same but for codes at the edge of rounding", async () => {
  const bits = [8, 3, 4, 2, 6, 8];
  using net = quantized("linear", (i) => ({ weightBits: bits[i % 6]!, activationBits: [8, 5, 8, 4][i % 4]! }));
  expect(largestDifference(await onnx(fileOf(net)), engine(net))).toBeLessThan(0.05);
  expect(net.graph.nodes.filter(({ op }) => op === "quantize").map(({ attrs }) => attrs)).toContainEqual({ bits: 4, isSigned: false });
});

test.each([
  [8, 8],
  [4, 8],
  [8, 4],
  [3, 3],
  [32, 8],
])("weights of %d bits between activations of %d bits are taken as they are", async (weightBits, activationBits) => {
  using net = quantized("linear", () => ({ weightBits, activationBits }));
  const bytes = fileOf(net);
  expect(largestDifference(await onnx(bytes), engine(net))).toBeLessThan(0.05);
  if (weightBits !== 8) expect((await optimizedOps(bytes)).filter((op) => op === "QLinearConv")).toEqual([]);
});

test("a quantised file is read back: the same function, with its bits", async () => {
  using net = quantized("linear", (i) => ({ weightBits: 4, activationBits: i % 2 === 0 ? 8 : 4 }));
  const bytes = fileOf(net);
  const back = await importOnnx(bytes, "file");
  const codes = (graph: Graph) => graph.nodes.flatMap((node) => (node.op === "quantize" ? [node.attrs] : []));
  expect(codes(back.graph)).toEqual(codes(net.graph));
  expect(largestDifference(await onnx(exportOnnx(back)), await onnx(bytes))).toBeLessThan(0.05);
});

test("on integers throughout, ONNX Runtime fuses every layer into one kernel of integers", async () => {
  using net = quantized("linear", () => ({ weightBits: 8, activationBits: 8 }), true);
  const bytes = fileOf(net);
  expect(largestDifference(await onnx(bytes), engine(net))).toBeLessThan(0.05);
  const ops = await optimizedOps(bytes);
  expect(ops.filter((op) => op === "QLinearConv")).toHaveLength(layers.length - 1);
  expect(ops).toContain("QLinearAdd");
  expect(ops.filter((op) => op === "Conv" || op === "Relu" || op === "Clip" || op === "Add")).toEqual([]);
});

test.each([5, 6, 6.005, 6.02, 7])("a ReLU6 before 8-bit activations of range %d: ONNX Runtime loads and computes it", async (range) => {
  using net = quantized("linear", () => ({ weightBits: 8, activationBits: 8 }));
  for (const node of net.graph.nodes)
    if (node.op === "quantize" && !node.attrs.isSigned) valuesOf(net.params.get(node.params.range!)).fill(range);
  expect(largestDifference(await onnx(fileOf(net)), engine(net))).toBeLessThan(0.05);
});

test("a channel of weights next to nothing keeps its bias, which has no code in steps of its products", async () => {
  const weak = layers.find(({ name }) => name.startsWith("head"))!;
  const weights = new Map(model.weights);
  const { shape, data } = weights.get(weak.weight)!;
  const perChannel = data.length / shape[0]!;
  weights.set(weak.weight, { shape, data: data.map((v, i) => (i < perChannel ? 1e-14 * v : v)) });
  using net = quantized("linear", () => ({ weightBits: 8, activationBits: 8 }), true, { graph: model.graph, weights });
  expect(largestDifference(await onnx(fileOf(net)), engine(net))).toBeLessThan(0.05);
});
