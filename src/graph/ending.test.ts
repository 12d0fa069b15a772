import { expect, test } from "vitest";
import { createBuilder } from "./builder.ts";
import { withEndingOf, withLogits } from "./ending.ts";
import { inferShapes } from "./shapes.ts";
import type { Graph, Node } from "./types.ts";

function mapNetwork(...ending: Node[]): Graph {
  const b = createBuilder({ name: "map", input: [3, 8, 8], norm: { epsilon: 1e-3, momentum: 0.1 } });
  const x = b.convBn(b.input, { name: "conv", outChannels: 4, kernel: 1, activation: "relu" });
  const graph = b.build(x);
  const pool: Node = { name: "pool", op: "globalAveragePool", inputs: [graph.output], params: {}, attrs: {} };
  return { ...graph, nodes: [...graph.nodes, pool, ...ending], output: (ending.at(-1) ?? pool).name };
}
const flat: Node = { name: "flat", op: "flatten", inputs: ["pool"], params: {}, attrs: {} };
const soft: Node = { name: "soft", op: "softmax", inputs: ["flat"], params: {}, attrs: {} };
const map: Node = { name: "map", op: "reshape", inputs: ["soft"], params: {}, attrs: { shape: [4, 1, 1] } };

test.each([
  ["a 1×1 map", []],
  ["probabilities", [flat, soft]],
  ["a 1×1 map of probabilities", [flat, soft, map]],
])("a network that ends in %s is trained on its logits, and gets its ending back", (_, ending) => {
  const original = mapNetwork(...ending);
  const logits = withLogits(original);
  expect(inferShapes(logits).get(logits.output)).toEqual([4]);
  expect(logits.nodes.some(({ op }) => op === "softmax")).toBe(false);
  expect(withEndingOf(original, logits)).toEqual(original);
});

test("a network that ends in one number a class stays as it is", () => {
  const original = mapNetwork(flat);
  expect(withLogits(original)).toBe(original);
  expect(withEndingOf(original, original)).toBe(original);
});

test("a layer that the file itself calls logits is no ending of ours", () => {
  const b = createBuilder({ name: "named", input: [3, 8, 8], norm: { epsilon: 1e-3, momentum: 0.1 } });
  const pooled = b.append("flatten", "flat", [b.append("globalAveragePool", "pool", [b.input], {})], {});
  const graph = b.build(b.linear(pooled, { name: "head.logits", outFeatures: 5, bias: true }));
  const probabilities: Node = { name: "soft", op: "softmax", inputs: [graph.output], params: {}, attrs: {} };
  const original = { ...graph, nodes: [...graph.nodes, probabilities], output: "soft" };
  expect(withEndingOf(original, withLogits(original))).toEqual(original);
});
