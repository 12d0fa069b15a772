/** @file Pruned graphs compute what the originals compute with those channels zeroed, on random graphs of every kind of coupling. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { isDepthwise, isLayer } from "../graph/layers.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { withOwnParams } from "../graph/own-params.ts";
import { paramSpecs } from "../graph/params.ts";
import { inferShapes } from "../graph/shapes.ts";
import type { Graph, Model, Node, Weights } from "../graph/types.ts";
import { createParameters, exportWeights, importWeights } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { traceChannels } from "./coupling.ts";
import { channelGroups } from "./groups.ts";
import { rankAtoms } from "./importance.ts";
import { removeChannels } from "./surgery.ts";

const BATCH = 2;

function randomWeights(graph: Graph, seed: number): Weights {
  const rng = createRng(seed);
  const weights = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, { shape, role }] of paramSpecs(graph)) {
    const size = shape.reduce((product, n) => product * n, 1);
    weights.set(name, {
      shape,
      data: Float32Array.from({ length: size }, () => (role === "variance" ? 0.5 + rng.uniform() : 0.5 * rng.normal())),
    });
  }
  return weights;
}

function compute({ graph, weights }: Model): Float32Array {
  using params = createParameters(paramSpecs(graph), createRng(0));
  importWeights(params, weights);
  using _scope = createScope();
  const size = BATCH * graph.input.shape.reduce((product, n) => product * n, 1);
  const x = Float32Array.from({ length: size }, (_, i) => Math.sin(7.3 * i));
  return toArray(run(graph, params, fromArray([BATCH, ...graph.input.shape], x), { tape: null, mode: "eval" }));
}

/** The weights with zeros where a layer reads a removed channel. */
function zeroed({ graph, weights }: Model, removed: ReadonlySet<number>): Weights {
  const { atomsOf } = traceChannels(graph);
  const result = new Map([...weights].map(([name, weight]) => [name, { ...weight, data: weight.data.slice() }]));
  for (const node of graph.nodes) {
    const inputs = atomsOf.get(node.inputs[0]!)!;
    if (!isLayer(node) || isDepthwise(node, inputs.length)) continue;
    const { shape, data } = result.get(node.params.weight!)!;
    const [rows, columns, ...cells] = shape as [number, number, ...number[]];
    const cell = cells.reduce((product, n) => product * n, 1);
    const rowsPerGroup = rows / (node.op === "conv" ? node.attrs.groups : 1);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const channel = Math.floor(r / rowsPerGroup) * columns + c;
        if (removed.has(inputs[channel]!)) data.fill(0, (r * columns + c) * cell, (r * columns + c + 1) * cell);
      }
    }
  }
  return result;
}

/** Removes from each prunable group the atoms that `pick` chooses, but never all. */
function choose(graph: Graph, pick: () => boolean): Set<number> {
  const removed = new Set<number>();
  for (const { atoms, reason } of channelGroups(graph)) {
    if (reason === null) for (const atom of atoms.slice(1)) if (pick()) removed.add(atom);
  }
  return removed;
}

function expectSameFunction(graph: Graph, seed: number): void {
  const rng = createRng(seed);
  const model = { graph, weights: randomWeights(graph, seed) };
  const removed = choose(graph, () => rng.uniform() < 0.5);
  const smaller = removeChannels(model, removed);
  const [ours, theirs] = [compute(smaller), compute({ graph, weights: zeroed(model, removed) })];
  const largest = theirs.reduce((max, v) => Math.max(max, Math.abs(v)), 1);
  expect(ours.length).toBe(theirs.length);
  expect(ours.reduce((max, v, i) => Math.max(max, Math.abs(v - theirs[i]!)), 0) / largest).toBeLessThan(1e-4);
  if (removed.size > 0) expect(paramCount(smaller.graph)).toBeLessThan(paramCount(graph));
  expect(compute(removeChannels(model, new Set()))).toEqual(compute(model));
}
const paramCount = (graph: Graph) => [...paramSpecs(graph).values()].reduce((sum, { shape }) => sum + shape.reduce((p, n) => p * n, 1), 0);

type Step = "conv" | "residual" | "depthwise" | "concat" | "gate" | "shuffle" | "split" | "grouped" | "pool" | "shortcut" | "multiplier";
const STEPS: readonly Step[] = [
  "conv",
  "residual",
  "depthwise",
  "concat",
  "gate",
  "shuffle",
  "split",
  "grouped",
  "pool",
  "shortcut",
  "multiplier",
];

/** A network of the given steps; `tail` ends it in flatten or a global pool. */
function graphOf(steps: readonly Step[], tail: "flatten" | "pool"): Graph {
  const b = createBuilder({ name: "random", input: [3, 8, 8] });
  const append = (op: Node["op"], name: string, inputs: readonly string[], attrs: object) => b.append(op, name, inputs, attrs as never);
  let x = b.convBn(b.input, { name: "stem", outChannels: 8, kernel: 3, activation: "relu" });
  for (const [i, step] of steps.entries()) {
    const name = `s${i}`;
    const channels = b.shape(x)[0]!;
    if (step === "conv") x = b.convBn(x, { name, outChannels: 4 * (1 + (i % 3)), kernel: 3, activation: "relu6" });
    if (step === "residual") {
      const y = b.convBn(x, { name: `${name}.a`, outChannels: 6, kernel: 1, activation: "hardSwish" });
      x = b.add(x, b.convBn(y, { name: `${name}.b`, outChannels: channels, kernel: 3 }), `${name}.add`);
    }
    if (step === "depthwise") x = b.convBn(x, { name, outChannels: channels, kernel: 3, groups: channels, activation: "relu" });
    if (step === "concat") x = b.concat([x, b.conv(x, { name: `${name}.c`, outChannels: 4, kernel: 1, bias: true }), x], `${name}.concat`);
    if (step === "gate") {
      const squeezed = b.conv(b.globalAveragePool(x, `${name}.gap`), { name: `${name}.r`, outChannels: 3, kernel: 1, bias: true });
      const gate = b.conv(b.activation(squeezed, "relu", `${name}.act`), {
        name: `${name}.e`,
        outChannels: channels,
        kernel: 1,
        bias: true,
      });
      x = b.mul(x, b.activation(gate, "sigmoid", `${name}.gate`), `${name}.mul`);
    }
    if (step === "shuffle" && channels % 4 === 0) x = append("channelShuffle", name, [x], { groups: 2 });
    if (step === "split") {
      const [half, rest] = [Math.ceil(channels / 2), Math.floor(channels / 2)];
      const left = append("sliceChannels", `${name}.left`, [x], { start: 0, count: half });
      const right = append("sliceChannels", `${name}.right`, [x], { start: half, count: rest });
      x = b.concat([right, b.conv(left, { name: `${name}.c`, outChannels: 4, kernel: 1 })], `${name}.join`);
    }
    if (step === "grouped" && channels % 2 === 0) x = b.conv(x, { name, outChannels: 8, kernel: 3, groups: 2, bias: true });
    if (step === "multiplier") x = b.conv(x, { name, outChannels: 2 * channels, kernel: 3, groups: channels });
    if (step === "pool" && b.shape(x)[1]! > 2) x = b.maxPool(x, { name, kernel: 2, stride: 2 });
    if (step === "shortcut") {
      const y = b.conv(x, { name: `${name}.c`, outChannels: channels + 4, kernel: 3 });
      x = b.add(y, b.padChannels(x, 4, `${name}.pad`), `${name}.add`);
    }
  }
  const features = b.flatten(tail === "pool" ? b.globalAveragePool(x, "gap") : x, "flat");
  const hidden = b.activation(b.linear(features, { name: "hidden", outFeatures: 12 }), "relu", "hidden.act");
  return b.build(b.linear(hidden, { name: "classes", outFeatures: 4 }));
}

describe("removing channels", () => {
  test.each(STEPS)("through %s", (step) => {
    expectSameFunction(graphOf([step], "pool"), 1);
    expectSameFunction(graphOf(["conv", step, "conv"], "flatten"), 2);
  });

  test("on random graphs", () => {
    const steps = fc.array(fc.constantFrom(...STEPS), { minLength: 2, maxLength: 7 });
    fc.assert(
      fc.property(steps, fc.constantFrom("flatten" as const, "pool" as const), fc.nat(1000), (list, tail, seed) =>
        expectSameFunction(graphOf(list, tail), seed),
      ),
      { numRuns: 60 },
    );
  });

  test.each(["resnet-20", "resnet-20-b", "plain-20", "mobilenet-v1:0.25", "mobilenet-v2:0.35"])("on %s", (name) => {
    expectSameFunction(buildNetwork(name, { input: [3, 32, 32], classes: 10 }), 3);
  });

  test("all channels of a value cannot go", () => {
    const graph = graphOf(["conv"], "pool");
    const group = channelGroups(graph).find(({ name }) => name === "stem.conv")!;
    const model = { graph, weights: randomWeights(graph, 1) };
    expect(() => removeChannels(model, new Set(group.atoms))).toThrow(/^prune: at least one channel of "stem\.conv" must stay, got none$/);
  });
});

describe("groups", () => {
  test("keep together what a residual sum ties, and name what must stay", () => {
    const groups = channelGroups(buildNetwork("resnet-20", { input: [3, 32, 32], classes: 10 }));
    const prunable = groups.filter(({ reason }) => reason === null);
    // One inside each of the nine blocks; of the residual stream 16 channels that all stages share, and twice those that padding adds.
    const sizes = prunable.map(({ atoms }) => atoms.length).sort((a, b) => a - b);
    expect(sizes).toEqual([16, 16, 16, 16, 16, 32, 32, 32, 32, 64, 64, 64]);
    expect(groups.filter(({ reason }) => reason !== null).map(({ name, reason }) => [name, reason])).toEqual([
      ["classifier", "the output"],
    ]);
  });

  test("of MobileNetV2 are the published ones", () => {
    const groups = channelGroups(buildNetwork("mobilenet-v2", { input: [3, 224, 224], classes: 1000 }));
    const residual = groups.filter(({ producers }) => producers.length > 1).map(({ producers }) => producers.length);
    // Blocks of 2, 3, 4, 3 and 3 repeats share their stream; Sandler et al. 2018, table 2.
    expect(residual).toEqual([2, 3, 4, 3, 3]);
  });

  test("shapes stay inferable whatever is removed", () => {
    const graph = graphOf(["split", "concat", "grouped", "shuffle"], "flatten");
    const smaller = removeChannels(
      { graph, weights: randomWeights(graph, 4) },
      choose(graph, () => true),
    );
    expect(() => inferShapes(smaller.graph)).not.toThrow();
    expect(exportWeights(createParameters(paramSpecs(smaller.graph), createRng(1))).size).toBe(smaller.weights.size);
  });
});

test("few channels left are spread over the slices of a split, so that something of each remains", () => {
  const b = createBuilder({ name: "split", input: [3, 8, 8] });
  const x = b.convBn(b.input, { name: "a", outChannels: 12, kernel: 3, activation: "relu" });
  const halves = [0, 6].map((start, i) => {
    const slice = b.append("sliceChannels", `slice${i}`, [x], { start, count: 6 });
    return b.conv(slice, { name: `depthwise${i}`, outChannels: 6, kernel: 3, groups: 6 });
  });
  const graph = b.build(b.conv(b.concat(halves, "joined"), { name: "b", outChannels: 4, kernel: 1 }));
  // the second half matters least throughout
  const weights = new Map(randomWeights(graph, 1));
  const weight = weights.get("b.weight")!;
  weights.set("b.weight", { ...weight, data: weight.data.map((v, i) => (i % 12 < 6 ? v : 0.01 * v)) });
  const coupling = traceChannels(graph);
  const group = channelGroups(graph, coupling).find(({ reason }) => reason === null)!;
  const kept = rankAtoms({ graph, weights }, coupling, group).subarray(0, 2);
  const removed = new Set(group.atoms.filter((atom) => !kept.includes(atom)));
  const smaller = removeChannels({ graph, weights }, removed, coupling);
  expect(inferShapes(smaller.graph).get("slice1")![0]).toBe(1);
  expect(compute(smaller).every(Number.isFinite)).toBe(true);
});

test("nodes that an exporter gave one constant are cut apart", () => {
  const b = createBuilder({ name: "net", input: [3, 8, 8] });
  let x = b.convBn(b.input, { name: "a", outChannels: 8, kernel: 3, activation: "relu" });
  x = b.convBn(x, { name: "b", outChannels: 8, kernel: 3, activation: "relu" });
  const whole = b.build(b.classifier(x, { classes: 4 }));
  const isNorm = ({ op }: Node) => op === "batchNorm";
  const shared = whole.nodes.find(isNorm)!.params.scale!;
  const graph: Graph = {
    ...whole,
    nodes: whole.nodes.map((node) => (isNorm(node) ? ({ ...node, params: { ...node.params, scale: shared } } as Node) : node)),
  };
  using params = createParameters(paramSpecs(graph), createRng(1));
  const own = withOwnParams({ graph, weights: exportWeights(params) });
  expect(new Set(own.graph.nodes.filter(isNorm).map((node) => node.params.scale)).size).toBe(2);
  const coupling = traceChannels(own.graph);
  const groups = channelGroups(own.graph, coupling).filter(({ reason }) => reason === null);
  const smaller = removeChannels(own, new Set(groups.flatMap(({ atoms }, g) => [...atoms.slice(g === 0 ? 3 : 6)])), coupling);
  const widths = smaller.graph.nodes.filter(isNorm).map((node) => smaller.weights.get(node.params.scale!)!.data.length);
  expect(widths).toEqual([3, 6]);
});
