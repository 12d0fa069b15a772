import { expect, test } from "vitest";
import { createBuilder } from "./builder.ts";
import { makeDivisible } from "./make-divisible.ts";
import { buildNetwork, networkNames } from "./networks/index.ts";
import { adaptStrides } from "./networks/strides.ts";
import { paramSpecs } from "./params.ts";
import { inferShapes } from "./shapes.ts";
import type { Graph, Node } from "./types.ts";
import { validate } from "./validate.ts";

const options = { input: [3, 32, 32], classes: 10 };
const graphOf = (input: readonly number[], ...nodes: Node[]): Graph => ({
  name: "test",
  input: { name: "input", shape: input },
  nodes,
  output: nodes.at(-1)!.name,
});
const node = (name: string, op: Node["op"], inputs: readonly string[], attrs: object = {}): Node =>
  ({ name, op, inputs, params: {}, attrs }) as Node;

test.each(networkNames)("%s is valid for small images and ends in its classes", (name) => {
  const graph = buildNetwork(name, options);
  expect(() => validate(graph)).not.toThrow();
  expect(inferShapes(graph).get(graph.output)).toEqual([10]);
});

test.each([
  [
    "two inputs of one shape",
    node("sum", "add", ["input", "gap"]),
    'graph: add "sum": both inputs must have one shape, got [4,8,8] and [4,1,1]',
  ],
  ["an image", node("c", "concat", ["flat"]), 'graph: concat "c": the input must be an image [C,H,W], got [256]'],
  [
    "a vector",
    node("l", "linear", ["input"], { outFeatures: 2, hasBias: false }),
    'graph: linear "l": the input must be a vector [F], got [4,8,8]',
  ],
  [
    "as many elements",
    node("r", "reshape", ["flat"], { shape: [5, 5] }),
    'graph: reshape "r": the shape [5,5] must have as many elements as the input, got [256]',
  ],
  ["an earlier value", node("a", "relu", ["later"]), 'graph: relu "a" must read a value made before it, got "later"'],
  [
    "a factor that spreads",
    node("m", "mul", ["gap", "input"]),
    `graph: mul "m": the second input must have the first's shape or [C,1,1], got [4,1,1] and [4,8,8]`,
  ],
])("says that there must be %s", (_, last, message) => {
  const graph = graphOf([4, 8, 8], node("gap", "globalAveragePool", ["input"]), node("flat", "flatten", ["input"]), last);
  expect(() => inferShapes(graph)).toThrow(message);
});

test("a window must fit, groups must divide", () => {
  const b = createBuilder({ name: "test", input: [4, 3, 3] });
  expect(() => b.conv(b.input, { name: "big", outChannels: 4, kernel: 7, padding: 0 })).toThrow(
    'graph: conv "big": the 7×7 window must fit into the padded input, got 3×3',
  );
  expect(() => b.conv(b.input, { name: "odd", outChannels: 6, kernel: 1, groups: 4 })).toThrow(
    'graph: conv "odd": channels in and out (6) must be multiples of its 4 groups',
  );
});

test("names must be unique, the output must exist, parameters must be named and of one shape", () => {
  const relu = node("a", "relu", ["input"]);
  expect(() => validate(graphOf([4], relu, relu))).toThrow('names must be unique, got "a" twice');
  expect(() => validate({ ...graphOf([4], relu), output: "b" })).toThrow('the output must be a node, got "b"');
  const linear = node("l", "linear", ["input"], { outFeatures: 2, hasBias: false });
  expect(() => validate(graphOf([4], linear))).toThrow('graph: linear "l" must name its weight, got none');
  const shared = (name: string, outFeatures: number, input: string): Node =>
    ({ ...node(name, "linear", [input], { outFeatures, hasBias: false }), params: { weight: "w" } }) as Node;
  expect(() => paramSpecs(graphOf([4], shared("a", 4, "input"), shared("b", 2, "a")))).toThrow(
    '"w" must have one shape everywhere, got [4,4] and [2,4]',
  );
});

test("an unknown network is answered with the nearest name", () => {
  expect(() => buildNetwork("resnet20", options)).toThrow('got "resnet20" — did you mean resnet-20?');
  expect(() => buildNetwork("resnet-20:0.5", options)).toThrow("mobilenet-v1 and mobilenet-v2 take a width");
  expect(() => buildNetwork("mobilenet-v2:0", options)).toThrow("take a width above 0");
});

test("widths are rounded to multiples of 8, never by more than a tenth down", () => {
  for (let width = 1; width < 400; width++) {
    expect(makeDivisible(width) % 8).toBe(0);
    if (width >= 8) expect(makeDivisible(width)).toBeGreaterThanOrEqual(0.9 * width);
  }
  expect([32, 16, 24].map((w) => makeDivisible(w * 0.35))).toEqual([16, 8, 8]);
});

test("strides shrink from the front until the last map is 4×4; large inputs keep theirs", () => {
  expect(adaptStrides([2, 2, 2, 2, 2], 224)).toEqual([2, 2, 2, 2, 2]);
  expect(adaptStrides([2, 2, 2, 2, 2], 32)).toEqual([1, 1, 2, 2, 2]);
  expect(adaptStrides([2, 2], 3)).toEqual([1, 1]);
});
