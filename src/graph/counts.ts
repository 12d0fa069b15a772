/** @file Multiply-accumulates, parameters and memory of a graph. */
import { paramSpecs } from "./params.ts";
import { inferShapes } from "./shapes.ts";
import type { Graph, Node, OpType, SampleShape } from "./types.ts";

export interface LayerCounts {
  readonly name: string;
  readonly op: OpType;
  readonly inputShape: SampleShape;
  readonly outputShape: SampleShape;
  readonly macs: number;
  readonly params: number;
  /** Bytes of the result for one sample, float32. */
  readonly activationBytes: number;
}
export interface GraphCounts {
  /** Multiply-accumulates for one sample: convolutions and linear layers, biases not counted. */
  readonly macs: number;
  /** Trainable parameters: weights, biases, scales and shifts. */
  readonly params: number;
  /** The parameters as float32. */
  readonly bytes: number;
  /** Most activation memory alive at once, one sample, float32: see `peakActivationBytes`. */
  readonly peakActivationBytes: number;
  readonly layers: readonly LayerCounts[];
}

const FLOAT_BYTES = 4;
const count = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** Multiply-accumulates of one node for one sample. */
export function macsOf(node: Node, input: SampleShape, output: SampleShape): number {
  if (node.op === "conv") return (count(output) * input[0]! * node.attrs.kernel[0] * node.attrs.kernel[1]) / node.attrs.groups;
  if (node.op === "linear") return input[0]! * node.attrs.outFeatures;
  return 0;
}

/** Ops that may write their result over their first input once nobody else needs it. */
const REUSES_INPUT: Record<OpType, boolean> = {
  conv: false,
  batchNorm: true,
  relu: true,
  clip: true,
  leakyRelu: true,
  hardSwish: true,
  sigmoid: true,
  hardSigmoid: true,
  affine: true,
  add: true,
  mul: true,
  concat: false,
  maxPool: false,
  averagePool: false,
  globalAveragePool: false,
  padChannels: false,
  pad: false,
  sliceChannels: false,
  channelShuffle: false,
  lrn: false,
  linear: false,
  flatten: true,
  reshape: true,
  softmax: true,
  dropout: true,
  quantize: true,
  opaque: false,
};

/** Bytes of a value of that shape, float32. */
export const activationBytes = (shape: SampleShape): number => FLOAT_BYTES * count(shape);

/**
 * For each node, run in order, the values alive at once: those that are still read later, its inputs and its result. Batch
 * normalisation, activations, sums, products and reshapes write over an input that dies there.
 */
export function aliveValues(graph: Graph, shapes: ReadonlyMap<string, SampleShape> = inferShapes(graph)): string[][] {
  const lastUse = new Map<string, number>();
  for (const [i, node] of graph.nodes.entries()) for (const name of node.inputs) lastUse.set(name, i);
  lastUse.set(graph.output, graph.nodes.length);
  const bytes = (name: string) => activationBytes(shapes.get(name)!);
  const alive = new Set([graph.input.name]);
  return graph.nodes.map((node, i) => {
    const reused = REUSES_INPUT[node.op]
      ? node.inputs.find((name) => lastUse.get(name) === i && bytes(name) >= bytes(node.name))
      : undefined;
    if (reused !== undefined) alive.delete(reused);
    alive.add(node.name);
    const here = [...alive];
    for (const name of [...node.inputs, node.name]) if ((lastUse.get(name) ?? i) <= i) alive.delete(name);
    return here;
  });
}

/** The largest sum of values alive at once: see `aliveValues`. */
export function peakActivationBytes(graph: Graph, shapes: ReadonlyMap<string, SampleShape> = inferShapes(graph)): number {
  const bytes = (name: string) => activationBytes(shapes.get(name)!);
  const sums = aliveValues(graph, shapes).map((names) => names.reduce((sum, name) => sum + bytes(name), 0));
  return sums.reduce((most, sum) => Math.max(most, sum), bytes(graph.input.name));
}

/** Counts a whole graph and each of its layers. @throws AppError SHAPE when it is not valid */
export function inspectGraph(graph: Graph): GraphCounts {
  const shapes = inferShapes(graph);
  const paramsOf = new Map<string, number>();
  for (const spec of paramSpecs(graph).values()) {
    if (spec.isTrainable) paramsOf.set(spec.node, (paramsOf.get(spec.node) ?? 0) + count(spec.shape));
  }
  const layers = graph.nodes.map((node): LayerCounts => {
    const inputShape = shapes.get(node.inputs[0]!)!;
    const outputShape = shapes.get(node.name)!;
    return {
      name: node.name,
      op: node.op,
      inputShape,
      outputShape,
      macs: macsOf(node, inputShape, outputShape),
      params: paramsOf.get(node.name) ?? 0,
      activationBytes: activationBytes(outputShape),
    };
  });
  const sum = (of: (layer: LayerCounts) => number) => layers.reduce((total, layer) => total + of(layer), 0);
  const params = sum((layer) => layer.params);
  return {
    macs: sum((layer) => layer.macs),
    params,
    bytes: FLOAT_BYTES * params,
    peakActivationBytes: peakActivationBytes(graph, shapes),
    layers,
  };
}
