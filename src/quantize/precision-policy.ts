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

/** Names the values that quantised layers read, with their bits. */
export interface QuantizedValue {
  readonly value: string;
  readonly bits: number;
  readonly isSigned: boolean;
}

export const quantizedName = ({ value, bits }: { readonly value: string; readonly bits: number }): string => `${value}.a${bits}`;

/** Every value that must be quantised, once for each number of bits. */
export function quantizedValues(graph: Graph, policy: PrecisionPolicy): QuantizedValue[] {
  const nonNegative = nonNegativeValues(graph);
  const found = new Map<string, QuantizedValue>();
  for (const node of graph.nodes) {
    const bits = isLayer(node) ? (policy.get(node.name)?.activationBits ?? FLOAT_BITS) : FLOAT_BITS;
    if (bits === FLOAT_BITS) continue;
    const value = node.inputs[0]!;
    const one = { value, bits, isSigned: !nonNegative.has(value) };
    found.set(quantizedName(one), one);
  }
  return [...found.values()];
}

/**
 * The graph in which every layer reads activations of its bits: a `quantize` node after each value and number of bits that some layer
 * asks for. Weights are quantised apart (`WeightQuantizer`). The argument is untouched.
 */
export function quantizeActivations(graph: Graph, policy: PrecisionPolicy): Graph {
  const wanted = Map.groupBy(quantizedValues(graph, policy), ({ value }) => value);
  const after = (value: string): NodeOf<"quantize">[] =>
    (wanted.get(value) ?? []).map((one) => {
      const name = quantizedName(one);
      return {
        name,
        op: "quantize",
        inputs: [value],
        params: { range: `${name}.range` },
        attrs: { bits: one.bits, isSigned: one.isSigned },
      };
    });
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const bits = isLayer(node) ? (policy.get(node.name)?.activationBits ?? FLOAT_BITS) : FLOAT_BITS;
    const reading = bits === FLOAT_BITS ? node : { ...node, inputs: [quantizedName({ value: node.inputs[0]!, bits })] };
    return [reading as Node, ...after(node.name)];
  });
  return { ...graph, nodes: [...after(graph.input.name), ...nodes] };
}
