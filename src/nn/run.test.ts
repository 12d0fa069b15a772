/** @file Every operator of the representation: what the engine computes is what ONNX Runtime computes from the exported file. */
import { expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph, Model, Node, OpAttrs, OpType } from "../graph/types.ts";
import { exportOnnx } from "../onnx/export.ts";
import { importOnnx } from "../onnx/import/import.ts";
import { createSession } from "../onnx/session.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray, valuesOf } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { createParameters, exportWeights, type ParameterStore } from "./parameters.ts";
import { run } from "./run.ts";

const BATCH = 3;
const pads = { top: 1, left: 0, bottom: 2, right: 1 };
const pool = { kernel: [3, 3], stride: [2, 2], padding: pads } as const;
const conv = { outChannels: 12, kernel: [3, 3], stride: [2, 1], padding: pads, dilation: [1, 1], groups: 1, hasBias: true } as const;
type Cases = {
  readonly [K in OpType]: readonly { readonly input: readonly number[]; readonly attrs: OpAttrs[K]; readonly inputs?: number }[];
};

const image = [8, 7, 6] as const;
const cases: Cases = {
  conv: [
    { input: image, attrs: conv },
    { input: image, attrs: { ...conv, groups: 4, hasBias: false } },
    { input: image, attrs: { ...conv, outChannels: 8, groups: 8, kernel: [5, 5], padding: { top: 2, left: 2, bottom: 2, right: 2 } } },
    { input: image, attrs: { ...conv, dilation: [2, 1] } },
  ],
  batchNorm: [{ input: image, attrs: { epsilon: 1e-3, momentum: 0.1 } }],
  relu: [{ input: image, attrs: {} }],
  clip: [{ input: image, attrs: { min: -0.5, max: 0.75 } }],
  leakyRelu: [{ input: image, attrs: { slope: 0.2 } }],
  hardSwish: [{ input: image, attrs: {} }],
  sigmoid: [{ input: image, attrs: {} }],
  hardSigmoid: [{ input: image, attrs: {} }],
  affine: [{ input: image, attrs: { scale: 0.25, shift: -3 } }],
  add: [{ input: image, attrs: {}, inputs: 2 }],
  mul: [{ input: image, attrs: {}, inputs: 2 }],
  concat: [{ input: image, attrs: {}, inputs: 3 }],
  maxPool: [{ input: image, attrs: pool }],
  averagePool: [
    { input: image, attrs: { ...pool, countIncludesPadding: false } },
    { input: image, attrs: { ...pool, countIncludesPadding: true } },
  ],
  globalAveragePool: [{ input: image, attrs: {} }],
  padChannels: [{ input: image, attrs: { after: 8 } }],
  pad: [{ input: image, attrs: { padding: pads } }],
  sliceChannels: [
    { input: image, attrs: { start: 3, count: 4 } },
    { input: [48, 3, 3], attrs: { start: 16, count: 16 } },
  ],
  channelShuffle: [
    { input: image, attrs: { groups: 4 } },
    { input: [48, 5, 3], attrs: { groups: 3 } },
  ],
  lrn: [
    { input: image, attrs: { size: 3, alpha: 0.5, beta: 0.75, bias: 1.5 } },
    { input: [20, 4, 4], attrs: { size: 5, alpha: 0.1, beta: 0.5, bias: 1 } },
  ],
  linear: [
    { input: [20], attrs: { outFeatures: 7, hasBias: true } },
    { input: [20], attrs: { outFeatures: 7, hasBias: false } },
  ],
  flatten: [{ input: image, attrs: {} }],
  reshape: [{ input: image, attrs: { shape: [12, 7, 4] } }],
  softmax: [{ input: [9], attrs: {} }],
  dropout: [{ input: [9], attrs: { rate: 0.5 } }],
  quantize: [
    { input: image, attrs: { bits: 8, isSigned: true } },
    { input: image, attrs: { bits: 8, isSigned: false } },
    { input: image, attrs: { bits: 3, isSigned: true } },
    { input: [9], attrs: { bits: 4, isSigned: false } },
  ],
  opaque: [],
};

/** The op alone, its inputs all the graph's input or, for several, distinct functions of it. */
function graphOf(op: OpType, { input, attrs, inputs = 1 }: Cases[OpType][number]): Graph {
  const sources: Node[] = Array.from({ length: inputs - 1 }, (_, i) => ({
    name: `source${i}`,
    op: "leakyRelu",
    inputs: ["input"],
    params: {},
    attrs: { slope: i + 2 },
  }));
  const roles = {
    conv: ["weight", "bias"],
    linear: ["weight", "bias"],
    batchNorm: ["scale", "shift", "mean", "variance"],
    quantize: ["range"],
  } as const;
  const used =
    op in roles ? roles[op as keyof typeof roles].filter((role) => role !== "bias" || (attrs as { hasBias?: boolean }).hasBias) : [];
  const node = {
    name: "op",
    op,
    inputs: ["input", ...sources.map(({ name }) => name)],
    params: Object.fromEntries(used.map((role) => [role, role === "range" ? "op.range" : role])),
    attrs,
  } as Node;
  return { name: op, input: { name: "input", shape: input }, nodes: [...sources, node], output: "op" };
}

function randomParameters(graph: Graph): ParameterStore {
  const rng = createRng(8);
  const params = createParameters(paramSpecs(graph), rng);
  for (const [name, spec] of params.specs) {
    if (spec.role === "weight") continue;
    const values = valuesOf(params.get(name));
    for (let i = 0; i < values.length; i++)
      values[i] = spec.role === "variance" ? 0.5 + rng.uniform() : spec.role === "range" ? 3 : rng.normal();
  }
  return params;
}

async function expectSame(graph: Graph, x: Float32Array, fold = true): Promise<void> {
  using params = randomParameters(graph);
  using _scope = createScope();
  const shape = [x.length / graph.input.shape.reduce((product, n) => product * n, 1), ...graph.input.shape];
  const bytes = exportOnnx({ graph, weights: exportWeights(params) }, { fold });
  const session = await createSession(bytes);
  const theirs = await session.run(x, shape);
  await session.close();
  const ours = toArray(run(graph, params, fromArray(shape, x), { tape: null, mode: "eval" }));
  expect(ours.length).toBe(theirs.length);
  const largest = theirs.reduce((max, v) => Math.max(max, Math.abs(v)), 1);
  const difference = ours.reduce((max, v, i) => Math.max(max, Math.abs(v - theirs[i]!)), 0);
  expect(difference / largest).toBeLessThan(1e-5);
}

test("an operator that Fettle only counts is refused by name", () => {
  const shape = [2, 4, 4];
  const node: Node = { name: "einsum", op: "opaque", inputs: ["input"], params: {}, attrs: { opType: "Einsum", reason: "unknown", shape } };
  const graph: Graph = { name: "g", input: { name: "input", shape }, nodes: [node], output: "einsum" };
  using params = createParameters(paramSpecs(graph), createRng(1));
  using _scope = createScope();
  const x = fromArray([1, ...shape], new Float32Array(32));
  expect(() => run(graph, params, x, { tape: null, mode: "eval" })).toThrow('got Einsum "einsum"');
  expect(() => exportOnnx({ graph, weights: new Map() })).toThrow('got Einsum "einsum"');
});

const all = (Object.entries(cases) as [OpType, Cases[OpType]][]).flatMap(([op, list]) => list.map((one) => [op, one] as const));

test.each(all)("%s %j", async (op, one) => {
  const graph = graphOf(op, one);
  const rng = createRng(4);
  const x = new Float32Array(BATCH * one.input.reduce((product, n) => product * n, 1)).map(() => 2 * rng.normal());
  await expectSame(graph, x, op !== "batchNorm" && op !== "dropout");
});

/** float32 as it is in the file, and an output that exporting renames. */
function asWritten({ graph, weights }: Model): unknown {
  const rounded = (value: unknown): unknown => (typeof value === "number" ? Math.fround(value) : value);
  const nodes = graph.nodes.map(({ attrs, ...node }) => ({
    ...node,
    attrs: Object.fromEntries(Object.entries(attrs).map(([k, v]) => [k, rounded(v)])),
  }));
  return { ...graph, nodes, weights: [...weights].sort(([a], [b]) => (a < b ? -1 : 1)) };
}

async function expectReadBack(graph: Graph): Promise<void> {
  using params = randomParameters(graph);
  const model = { graph, weights: exportWeights(params) };
  const bytes = exportOnnx(model, { fold: false });
  const back = await importOnnx(bytes, "file");
  expect(asWritten(back)).toEqual(asWritten(model));
  expect(Buffer.from(exportOnnx(back, { fold: false })).equals(Buffer.from(bytes))).toBe(true);
}

test.each(all)("%s %j is read back as it was", async (op, one) => {
  await expectReadBack(graphOf(op, one));
});

test.each(["resnet-20", "resnet-20-b", "plain-20", "mobilenet-v1:0.25", "mobilenet-v2:0.35", "proxyless-gpu"])(
  "%s, folded",
  async (name) => {
    const graph = buildNetwork(name, { input: [3, 32, 32], classes: 10 });
    const rng = createRng(6);
    await expectSame(
      graph,
      new Float32Array(2 * 3072).map(() => rng.normal()),
    );
  },
);

test("squeeze-and-excitation: a product spread over H×W", async () => {
  const b = createBuilder({ name: "se", input: [16, 6, 6] });
  const squeezed = b.activation(
    b.conv(b.globalAveragePool(b.input, "gap"), { name: "reduce", outChannels: 4, kernel: 1, bias: true }),
    "relu",
    "act",
  );
  const gate = b.activation(b.conv(squeezed, { name: "expand", outChannels: 16, kernel: 1, bias: true }), "hardSigmoid", "gate");
  const rng = createRng(7);
  await expectSame(
    b.build(b.mul(b.input, gate, "scale")),
    new Float32Array(2 * 576).map(() => rng.normal()),
  );
});

test("the same model gives the same bytes, with the documented names", async () => {
  const graph = buildNetwork("resnet-20", { input: [3, 32, 32], classes: 10 });
  using params = randomParameters(graph);
  const model = { graph, weights: exportWeights(params) };
  const [a, b] = [exportOnnx(model), exportOnnx(model)];
  expect(Buffer.from(a).equals(Buffer.from(b))).toBe(true);
  const session = await createSession(a);
  expect([session.inputName, session.outputName, session.inputShape]).toEqual(["input", "logits", [-1, 3, 32, 32]]);
  await session.close();
});

test("a node that is called as a weight or as the output is, does not make a file with one name for two things", async () => {
  const b = createBuilder({ name: "names", input: [4, 6, 6] });
  const first = b.conv(b.input, { name: "logits", outChannels: 4, kernel: 1 });
  const second = b.conv(first, { name: "twice", outChannels: 4, kernel: 1 });
  const built = b.build(b.activation(second, "relu", "end"));
  const nodes = built.nodes.map((node) => (node.op === "conv" ? { ...node, params: { weight: node.name } } : node) as Node);
  const rng = createRng(9);
  await expectSame(
    { ...built, nodes },
    new Float32Array(2 * 144).map(() => rng.normal()),
  );
});
