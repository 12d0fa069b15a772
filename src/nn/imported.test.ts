/** @file Imported files compute in the engine what ONNX Runtime computes from them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { opaqueNodes } from "../graph/opaque.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Model } from "../graph/types.ts";
import { exportOnnx } from "../onnx/export.ts";
import { numbers, onnxFile, type TestFile } from "../onnx/import/fixtures.ts";
import { importOnnx } from "../onnx/import/import.ts";
import { createSession } from "../onnx/session.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { createParameters, importWeights } from "./parameters.ts";
import { run } from "./run.ts";

const goldens = join(import.meta.dirname, "../../test/golden/onnx");
const BATCH = 2;

function engine({ graph, weights }: Model, x: Float32Array, batch: number): Float32Array {
  using params = createParameters(paramSpecs(graph), createRng(0));
  importWeights(params, weights);
  using _scope = createScope();
  return toArray(run(graph, params, fromArray([batch, ...graph.input.shape], x), { tape: null, mode: "eval" }));
}

async function runtime(bytes: Uint8Array, x: Float32Array, shape: readonly number[]): Promise<Float32Array> {
  const session = await createSession(bytes);
  const y = await session.run(x, shape);
  await session.close();
  return y;
}

function toNhwc(x: Float32Array, [c, h, w]: readonly number[]): Float32Array {
  const pixels = h! * w!;
  return Float32Array.from(
    x,
    (_, at) => x[Math.floor(at / (c! * pixels)) * c! * pixels + (at % c!) * pixels + (Math.floor(at / c!) % pixels)]!,
  );
}

function expectClose(ours: Float32Array, theirs: Float32Array): void {
  expect(ours.length).toBe(theirs.length);
  const largest = theirs.reduce((max, v) => Math.max(max, Math.abs(v)), 1);
  expect(ours.reduce((max, v, i) => Math.max(max, Math.abs(v - theirs[i]!)), 0) / largest).toBeLessThan(1e-4);
}

/** The file, its import, and the import exported and imported again all compute the same. */
async function expectSame(bytes: Uint8Array, batch = BATCH): Promise<Model> {
  const model = await importOnnx(bytes, "file.onnx");
  expect(opaqueNodes(model.graph)).toEqual([]);
  const { shape, layout } = model.graph.input;
  const x = numbers(batch * shape.reduce((product, n) => product * n, 1));
  const [c, h, w] = shape;
  const inFile = layout === "NHWC" ? ([toNhwc(x, shape), [batch, h!, w!, c!]] as const) : ([x, [batch, ...shape]] as const);
  const theirs = await runtime(bytes, ...inFile);
  expectClose(engine(model, x, batch), theirs);
  const written = exportOnnx(model);
  expectClose(await runtime(written, ...inFile), theirs);
  const again = exportOnnx(await importOnnx(written, "again.onnx"));
  expect(Buffer.from(again).equals(Buffer.from(written))).toBe(true);
  return model;
}

test.each(readdirSync(goldens))("PyTorch's %s", async (name) => {
  await expectSame(readFileSync(join(goldens, name)), name.includes("opset-1") ? 1 : BATCH);
});

const ints = (name: string, values: number[]) => ({ name, ints: values });
const conv = { dims: [4, 4, 3, 3], data: numbers(144) };
const files: Record<string, TestFile> = {
  "probabilities as a 1×1 map": {
    nodes: [
      { op: "GlobalAveragePool", in: ["x"], out: "p" },
      { op: "Softmax", in: ["p"], out: "y" },
    ],
    opset: 11,
  },
  "channels last, as TensorFlow's converter writes them": {
    input: ["N", 6, 5, 4],
    floats: { w: { dims: [6, 4, 1, 1], data: numbers(24) }, bias: { dims: [6], data: numbers(6) }, m: { dims: [6, 3], data: numbers(18) } },
    nodes: [
      { op: "Transpose", in: ["x"], out: "t", attributes: [ints("perm", [0, 3, 1, 2])] },
      { op: "Conv", in: ["t", "w"], out: "c" },
      { op: "Transpose", in: ["c"], out: "u", attributes: [ints("perm", [0, 2, 3, 1])] },
      { op: "Add", in: ["u", "bias"], out: "v" },
      { op: "Relu", in: ["v"], out: "r" },
      { op: "ReduceMean", in: ["r"], out: "p", attributes: [ints("axes", [1, 2]), { name: "keepdims", i: 0 }] },
      { op: "MatMul", in: ["p", "m"], out: "y" },
    ],
  },
  "flattened with channels last": {
    input: ["N", 2, 3, 4],
    ints: { s: [-1, 24] },
    floats: { m: { dims: [24, 3], data: numbers(72) }, b: { dims: [3], data: numbers(3) } },
    nodes: [
      { op: "Transpose", in: ["x"], out: "t", attributes: [ints("perm", [0, 3, 1, 2])] },
      { op: "Relu", in: ["t"], out: "r" },
      { op: "Transpose", in: ["r"], out: "u", attributes: [ints("perm", [0, 2, 3, 1])] },
      { op: "Reshape", in: ["u", "s"], out: "f" },
      { op: "MatMul", in: ["f", "m"], out: "y0" },
      { op: "Add", in: ["y0", "b"], out: "y" },
    ],
  },
  "local response normalisation": {
    nodes: [
      {
        op: "LRN",
        in: ["x"],
        out: "y",
        attributes: [
          { name: "size", i: 3 },
          { name: "alpha", f: 0.4 },
          { name: "bias", f: 2 },
        ],
      },
    ],
  },
  "a hard swish written out": {
    floats: { three: { dims: [], data: [3] }, six: { dims: [], data: [6] }, zero: { dims: [], data: [0] } },
    nodes: [
      { op: "Add", in: ["x", "three"], out: "a" },
      { op: "Clip", in: ["a", "zero", "six"], out: "c" },
      { op: "Mul", in: ["x", "c"], out: "m" },
      { op: "Div", in: ["m", "six"], out: "y" },
    ],
  },
  "padding that must be the same at opset 7": {
    opset: 7,
    input: ["N", 4, 7, 6],
    floats: { w: conv },
    nodes: [
      { op: "Conv", in: ["x", "w"], out: "c", attributes: [ints("strides", [2, 2]), { name: "auto_pad", s: Buffer.from("SAME_UPPER") }] },
      {
        op: "Clip",
        in: ["c"],
        out: "r",
        attributes: [
          { name: "min", f: 0 },
          { name: "max", f: 6 },
        ],
      },
      {
        op: "AveragePool",
        in: ["r"],
        out: "y",
        attributes: [ints("kernel_shape", [2, 2]), { name: "auto_pad", s: Buffer.from("SAME_LOWER") }],
      },
    ],
  },
  "channels cut in three and put together again": {
    ints: { sizes: [1, 2, 1], from: [-2], to: [2 ** 40], axis: [1] },
    nodes: [
      { op: "Split", in: ["x", "sizes"], out: ["a", "b", "c"], attributes: [{ name: "axis", i: 1 }] },
      { op: "Sigmoid", in: ["b"], out: "s" },
      { op: "Mul", in: ["b", "s"], out: "swish" },
      { op: "Concat", in: ["c", "swish", "a"], out: "j", attributes: [{ name: "axis", i: 1 }] },
      { op: "Slice", in: ["j", "from", "to", "axis"], out: "y" },
    ],
  },
  "a vector normalised, scaled and joined": {
    input: ["N", 5],
    floats: { s: { dims: [5], data: [1, 2, 3, 4, 5] }, v: { dims: [5], data: [1, 0.5, 2, 1, 1] }, k: { dims: [1, 5], data: numbers(5) } },
    nodes: [
      { op: "BatchNormalization", in: ["x", "s", "s", "s", "v"], out: "n" },
      { op: "Mul", in: ["n", "k"], out: "m" },
      { op: "Sub", in: ["k", "m"], out: "d" },
      { op: "Concat", in: ["d", "x"], out: "y", attributes: [{ name: "axis", i: 1 }] },
    ],
  },
  "a sum of three, a difference and bounds": {
    floats: { six: { dims: [1], data: [1.5] } },
    nodes: [
      { op: "Neg", in: ["x"], out: "n" },
      { op: "Relu", in: ["x"], out: "r" },
      { op: "Sum", in: ["x", "r", "r"], out: "s" },
      { op: "Sub", in: ["s", "n"], out: "d" },
      { op: "Min", in: ["d", "six"], out: "y" },
    ],
  },
  "squeezed, unsqueezed, zero channels": {
    ints: { pads: [0, 0, 1, 0, 0, 2, 0, 1], axes: [2, 3] },
    nodes: [
      { op: "Pad", in: ["x", "pads"], out: "p" },
      { op: "GlobalMaxPool", in: ["p"], out: "g" },
      { op: "Squeeze", in: ["g", "axes"], out: "s" },
      { op: "Unsqueeze", in: ["s", "axes"], out: "u" },
      { op: "Mul", in: ["u", "p"], out: "y" },
    ],
  },
  "a bias that joins a convolution only where nothing else reads it, under whatever name": {
    floats: { w: conv, b: { dims: [1, 4, 1, 1], data: numbers(4) } },
    nodes: [
      { op: "Conv", in: ["x", "w"], out: "c", attributes: [ints("pads", [1, 1, 1, 1])] },
      { op: "Identity", in: ["c"], out: "i" },
      { op: "Add", in: ["i", "b"], out: "a" },
      { op: "Relu", in: ["c"], out: "r" },
      { op: "Add", in: ["a", "r"], out: "y" },
    ],
  },
  "padding of the pixels alone, as opset 18 writes it": {
    opset: 18,
    ints: { pads: [1, 0, 2, 1], axes: [2, 3] },
    nodes: [{ op: "Pad", in: ["x", "pads", "", "axes"], out: "y" }],
  },
  "pixels prepared with channels last": {
    input: ["N", 6, 6, 4],
    floats: {
      w: conv,
      scale: { dims: [1], data: [2] },
      mean: { dims: [1, 1, 1, 4], data: numbers(4) },
      deviation: { dims: [4], data: [1, 2, 3, 4] },
    },
    nodes: [
      { op: "Mul", in: ["x", "scale"], out: "scaled" },
      { op: "Sub", in: ["scaled", "mean"], out: "centred" },
      { op: "Div", in: ["centred", "deviation"], out: "ready" },
      { op: "Transpose", in: ["ready"], out: "t", attributes: [ints("perm", [0, 3, 1, 2])] },
      { op: "Conv", in: ["t", "w"], out: "y" },
    ],
  },
  "a mean over columns, then over rows": {
    ints: { columns: [3], rows: [2] },
    opset: 18,
    nodes: [
      { op: "ReduceMean", in: ["x", "columns"], out: "c" },
      { op: "ReduceMean", in: ["c", "rows"], out: "m" },
      { op: "Mul", in: ["x", "m"], out: "y" },
    ],
  },
  "channels by their index, each scaled, and put together again": {
    floats: { a: { dims: [], data: [0.5] }, b: { dims: [], data: [-0.2] } },
    ints: { axis: [1], pair: [2, 3] },
    scalars: { first: 0, second: 1 },
    nodes: [
      { op: "Gather", in: ["x", "first"], out: "g0", attributes: [{ name: "axis", i: 1 }] },
      { op: "Unsqueeze", in: ["g0", "axis"], out: "u0" },
      { op: "Mul", in: ["u0", "a"], out: "m0" },
      { op: "Add", in: ["m0", "b"], out: "s0" },
      { op: "Gather", in: ["x", "second"], out: "g1", attributes: [{ name: "axis", i: 1 }] },
      { op: "Unsqueeze", in: ["g1", "axis"], out: "u1" },
      { op: "Gather", in: ["x", "pair"], out: "g2", attributes: [{ name: "axis", i: 1 }] },
      { op: "Concat", in: ["s0", "u1", "g2"], out: "y", attributes: [{ name: "axis", i: 1 }] },
    ],
  },
  "a scale and a shift per channel": {
    floats: { scale: { dims: [4, 1, 1], data: numbers(4) }, shift: { dims: [1, 4, 1, 1], data: numbers(4) } },
    nodes: [
      { op: "Mul", in: ["x", "scale"], out: "m" },
      { op: "Add", in: ["m", "shift"], out: "y" },
    ],
  },
  "the shape of a constant": {
    floats: { w: { dims: [3, 144], data: numbers(432) } },
    ints: { one: [1], minus: [-1], zero: [0] },
    nodes: [
      { op: "Shape", in: ["w"], out: "shape" },
      { op: "Gather", in: ["shape", "one"], out: "features" },
      { op: "Concat", in: ["minus", "features"], out: "target", attributes: [{ name: "axis", i: 0 }] },
      { op: "Reshape", in: ["x", "target"], out: "f" },
      { op: "Gemm", in: ["f", "w"], out: "y", attributes: [{ name: "transB", i: 1 }] },
    ],
  },
  "a shape computed from the input": {
    ints: { zero: [0], minus: [-1] },
    floats: { w: { dims: [3, 144], data: numbers(432) } },
    nodes: [
      { op: "Shape", in: ["x"], out: "shape" },
      { op: "Gather", in: ["shape", "zero"], out: "n" },
      { op: "Concat", in: ["n", "minus"], out: "target", attributes: [{ name: "axis", i: 0 }] },
      { op: "Reshape", in: ["x", "target"], out: "f" },
      {
        op: "Gemm",
        in: ["f", "w"],
        out: "y",
        attributes: [
          { name: "transB", i: 1 },
          { name: "alpha", f: 0.5 },
        ],
      },
    ],
  },
};

test("the exported file gives its result under the name that it had", async () => {
  const { graph, weights } = await importOnnx(onnxFile({ nodes: [{ op: "Relu", in: ["x"], out: "probabilities" }] }), "m.onnx");
  const session = await createSession(exportOnnx({ graph, weights }));
  expect([session.inputName, session.outputName]).toEqual(["x", "probabilities"]);
  await session.close();
});

test.each(Object.keys(files))("%s", async (name) => {
  await expectSame(onnxFile(files[name]!));
});

test("a scale and a shift per channel are one layer", async () => {
  const { graph } = await importOnnx(onnxFile(files["a scale and a shift per channel"]!), "m.onnx");
  expect(graph.nodes.map(({ op }) => op)).toEqual(["conv"]);
});

test("patterns become single operators", async () => {
  const opsOf = async (name: string) => (await importOnnx(onnxFile(files[name]!), name)).graph.nodes.map(({ op }) => op);
  expect(await opsOf("a hard swish written out")).toEqual(["hardSwish"]);
  expect(await opsOf("channels last, as TensorFlow's converter writes them")).toEqual([
    "conv",
    "relu",
    "globalAveragePool",
    "flatten",
    "linear",
  ]);
  const { graph } = await importOnnx(readFileSync(join(goldens, "shuffle.onnx")), "shuffle");
  expect(graph.nodes.filter(({ op }) => op === "channelShuffle" || op === "reshape").map(({ op }) => op)).toEqual(["channelShuffle"]);
});
