/** @file How many bits every layer has, and the graph that computes with them. */
import { isLayer } from "../graph/layers.ts";
import type { Graph, Node, NodeOf, OpType } from "../graph/types.ts";
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";

/** Bits by layer; a layer that is left out stays float. */
export type PrecisionPolicy = ReadonlyMap<string, Precision>;

/** Whether an operator's result is never below 0; "inherits" when it is not if its inputs are not. */
const NON_NEGATIVE: Record<OpType, boolean | "inherits"> = {
  relu: true,
  sigmoid: true,
  hardSigmoid: true,
  softmax: true,
  clip: "inherits",
  quantize: "inherits",
  maxPool: "inherits",
  averagePool: "inherits",
  globalAveragePool: "inherits",
  flatten: "inherits",
  reshape: "inherits",
  dropout: "inherits",
  concat: "inherits",
  add: "inherits",
  mul: "inherits",
  pad: "inherits",
  padChannels: "inherits",
  sliceChannels: "inherits",
  channelShuffle: "inherits",
  lrn: "inherits",
  conv: false,
  linear: false,
  batchNorm: false,
  leakyRelu: false,
  hardSwish: false,
  affine: false,
  opaque: false,
};

/** Names of the values that are never below 0, whatever the image. */
export function nonNegativeValues(graph: Graph): ReadonlySet<string> {
  const known = new Set<string>();
  for (const node of graph.nodes) {
    const rule = NON_NEGATIVE[node.op];
    const isBounded = node.op === "clip" && node.attrs.min >= 0;
    const inherits = rule === "inherits" && node.inputs.every((name) => known.has(name));
    if (rule === true || isBounded || inherits) known.add(node.name);
  }
  return known;
}

/** A value that gets a `quantize` node. */
export interface QuantizedValue {
  readonly value: string;
  readonly bits: number;
  readonly isSigned: boolean;
}

export interface QuantizeGraphOptions {
  /**
   * Quantise what layers of few bits make as well, and sums and pools of such values, so that kernels of integers can pass integers on:
   * ONNX Runtime runs a layer on integers only between quantised values.
   */
  readonly areResultsQuantized: boolean;
}

export const quantizedName = ({ value, bits }: { readonly value: string; readonly bits: number }): string => `${value}.a${bits}`;
export const rangeName = (one: QuantizedValue): string => `${quantizedName(one)}.range`;

const bitsOf = (node: Node, policy: PrecisionPolicy): number =>
  isLayer(node) ? (policy.get(node.name)?.activationBits ?? FLOAT_BITS) : FLOAT_BITS;
/** Operators that become part of the layer before them. */
const FOLLOWS: ReadonlySet<OpType> = new Set<OpType>(["batchNorm", "relu", "clip", "dropout"]);
/** Operators that ONNX Runtime computes on integers between quantised values. */
const CARRIES: ReadonlySet<OpType> = new Set<OpType>(["add", "globalAveragePool", "averagePool", "maxPool", "concat"]);

/** The value in which a layer's result leaves it: after normalisation and activation that nobody else reads before. */
function endOf(start: Node, readers: ReadonlyMap<string, readonly Node[]>): string {
  let name = start.name;
  for (;;) {
    const all = readers.get(name) ?? [];
    if (all.length !== 1 || !FOLLOWS.has(all[0]!.op)) return name;
    name = all[0]!.name;
  }
}

/** Results, by name, that are quantised besides what layers read; with the bits of what they are made of. */
function quantizedResults(graph: Graph, policy: PrecisionPolicy): ReadonlyMap<string, number> {
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes) for (const name of node.inputs) readers.set(name, [...(readers.get(name) ?? []), node]);
  const results = new Map<string, number>();
  const isRead = new Map<string, number>();
  for (const node of graph.nodes) if (bitsOf(node, policy) !== FLOAT_BITS) isRead.set(node.inputs[0]!, bitsOf(node, policy));
  const known = (name: string) => results.get(name) ?? isRead.get(name);
  for (const node of graph.nodes) {
    const bits =
      CARRIES.has(node.op) && node.inputs.every((name) => known(name) !== undefined) ? known(node.inputs[0]!)! : bitsOf(node, policy);
    if (bits === FLOAT_BITS) continue;
    const end = endOf(node, readers);
    if (end !== graph.output) results.set(end, known(end) ?? bits);
  }
  return results;
}

/** Every value that must be quantised, once for each number of bits. */
export function quantizedValues(graph: Graph, policy: PrecisionPolicy, { areResultsQuantized }: QuantizeGraphOptions): QuantizedValue[] {
  const nonNegative = nonNegativeValues(graph);
  const found = new Map<string, QuantizedValue>();
  const add = (value: string, bits: number) => {
    const one = { value, bits, isSigned: !nonNegative.has(value) };
    found.set(quantizedName(one), one);
  };
  for (const node of graph.nodes) if (bitsOf(node, policy) !== FLOAT_BITS) add(node.inputs[0]!, bitsOf(node, policy));
  if (areResultsQuantized) for (const [value, bits] of quantizedResults(graph, policy)) add(value, bits);
  return [...found.values()];
}

/**
 * The graph in which every layer reads activations of its bits: a `quantize` node after each value and number of bits that some layer
 * asks for. Weights are quantised apart (`WeightQuantizer`). The argument is untouched.
 */
export function quantizeActivations(graph: Graph, policy: PrecisionPolicy, options: QuantizeGraphOptions): Graph {
  const wanted = Map.groupBy(quantizedValues(graph, policy, options), ({ value }) => value);
  const results = options.areResultsQuantized ? quantizedResults(graph, policy) : new Map<string, number>();
  const after = (value: string): NodeOf<"quantize">[] =>
    (wanted.get(value) ?? []).map((one) => {
      const attrs = { bits: one.bits, isSigned: one.isSigned };
      return { name: quantizedName(one), op: "quantize", inputs: [value], params: { range: rangeName(one) }, attrs };
    });
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const own = bitsOf(node, policy);
    const read = (value: string): string => {
      const bits = own === FLOAT_BITS ? results.get(value) : own;
      return bits === undefined ? value : quantizedName({ value, bits });
    };
    return [{ ...node, inputs: node.inputs.map(read) } as Node, ...after(node.name)];
  });
  return { ...graph, nodes: [...after(graph.input.name), ...nodes] };
}
