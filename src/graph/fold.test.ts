import { expect, test } from "vitest";
import { createRng } from "../util/rng.ts";
import { createBuilder } from "./builder.ts";
import { foldBatchNorm } from "./fold.ts";
import { buildNetwork } from "./networks/index.ts";
import { paramSpecs } from "./params.ts";
import type { Graph, Model } from "./types.ts";
import { validate } from "./validate.ts";

function withWeights(graph: Graph): Model {
  const rng = createRng(3);
  const weights = new Map(
    [...paramSpecs(graph).values()].map((spec) => {
      const count = spec.shape.reduce((product, n) => product * n, 1);
      const data = new Float32Array(count).map(() => (spec.role === "variance" ? 0.5 + rng.uniform() : rng.normal()));
      return [spec.name, { shape: spec.shape, data }] as const;
    }),
  );
  return { graph, weights };
}

test("no batch normalisation or dropout is left, the rest stays valid, the argument is untouched", () => {
  const model = withWeights(buildNetwork("mobilenet-v2:0.35", { input: [3, 32, 32], classes: 10 }));
  const before = JSON.stringify(model.graph);
  const folded = foldBatchNorm(model);
  expect(() => validate(folded.graph)).not.toThrow();
  expect(folded.graph.nodes.some((node) => node.op === "batchNorm" || node.op === "dropout")).toBe(false);
  expect([...folded.weights.keys()].sort()).toEqual([...paramSpecs(folded.graph).keys()].sort());
  expect(JSON.stringify(model.graph)).toBe(before);
});

test("w' = w·s/√(v + ε), b' = (b − m)·s/√(v + ε) + t", () => {
  const b = createBuilder({ name: "pair", input: [1, 2, 2], norm: { epsilon: 0.25, momentum: 0.1 } });
  const graph = b.build(b.batchNorm(b.conv(b.input, { name: "c", outChannels: 1, kernel: 1, bias: true }), "n"));
  const scalar = (value: number, shape: readonly number[] = [1]) => ({ shape, data: Float32Array.of(value) });
  const weights = new Map([
    ["c.weight", scalar(3, [1, 1, 1, 1])],
    ["c.bias", scalar(2)],
    ["n.scale", scalar(4)],
    ["n.shift", scalar(5)],
    ["n.mean", scalar(1)],
    ["n.variance", scalar(3.75)],
  ]);
  const folded = foldBatchNorm({ graph, weights });
  expect(folded.graph.output).toBe("c");
  expect([...folded.weights.values()].map(({ data }) => data[0])).toEqual([6, 7]);
});

test("a convolution that others read too keeps its batch normalisation", () => {
  const b = createBuilder({ name: "shared", input: [4, 4, 4] });
  const x = b.conv(b.input, { name: "c", outChannels: 4, kernel: 3 });
  const model = withWeights(b.build(b.add(x, b.batchNorm(x, "n"), "sum")));
  const folded = foldBatchNorm(model);
  expect(folded.graph.nodes.map((node) => node.op)).toEqual(["conv", "batchNorm", "add"]);
});

test("a missing weight is named", () => {
  const { graph, weights } = withWeights(buildNetwork("resnet-20", { input: [3, 32, 32], classes: 10 }));
  const [first, ...rest] = weights;
  expect(() => foldBatchNorm({ graph, weights: new Map(rest) })).toThrow(`graph: weight "${first![0]}" must be given, got none`);
});
