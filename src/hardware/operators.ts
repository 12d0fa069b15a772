/** @file The operators that a deployed graph consists of, as ONNX Runtime fuses them. */
import { macsOf } from "../graph/counts.ts";
import { inferShapes } from "../graph/shapes.ts";
import type { Graph, Node, OpAttrs, OpType, SampleShape } from "../graph/types.ts";

/** An activation that is computed inside the operator before it. */
export type FusedActivation = { readonly [K in "relu" | "clip"]: { readonly op: K; readonly attrs: OpAttrs[K] } }["relu" | "clip"];

/** One kernel call on the device. Equal keys cost the same. */
export interface Operator {
  readonly key: string;
  readonly node: Node;
  readonly inputShape: SampleShape;
  readonly outputShape: SampleShape;
  readonly activation: FusedActivation | null;
  /** A convolution that also adds a residual. */
  readonly addsResidual: boolean;
  readonly macs: number;
}

/** Left out of deployed graphs, or only a new view of the same numbers. */
const FREE: Record<OpType, boolean> = {
  batchNorm: true,
  dropout: true,
  flatten: true,
  reshape: true,
  conv: false,
  relu: false,
  clip: false,
  leakyRelu: false,
  hardSwish: false,
  sigmoid: false,
  hardSigmoid: false,
  affine: false,
  add: false,
  mul: false,
  concat: false,
  maxPool: false,
  averagePool: false,
  globalAveragePool: false,
  padChannels: false,
  pad: false,
  sliceChannels: false,
  channelShuffle: false,
  quantize: false,
  lrn: false,
  opaque: false,
  linear: false,
  softmax: false,
};

function conciseAttributes(node: Node): string {
  if (node.op === "conv") {
    const { outChannels, kernel, stride, dilation, groups, padding } = node.attrs;
    const pads = [padding.top, padding.left, padding.bottom, padding.right].join(",");
    return `${outChannels} k${kernel.join("x")} s${stride.join("x")} d${dilation.join("x")} g${groups} p${pads}`;
  }
  return JSON.stringify(node.attrs);
}

/** Sums of a convolution's result and something else, and activations after it, become part of the convolution. */
function fuse(graph: Graph): { readonly node: Node; readonly activation: FusedActivation | null; readonly addsResidual: boolean }[] {
  const kept = graph.nodes.filter((node) => !FREE[node.op]);
  const source = new Map<string, string>();
  for (const node of graph.nodes) if (FREE[node.op]) source.set(node.name, source.get(node.inputs[0]!) ?? node.inputs[0]!);
  const inputsOf = (node: Node) => node.inputs.map((name) => source.get(name) ?? name);
  const readers = new Map<string, number>();
  for (const node of kept) for (const name of inputsOf(node)) readers.set(name, (readers.get(name) ?? 0) + 1);
  const units: { node: Node; activation: FusedActivation | null; addsResidual: boolean; result: string }[] = [];
  for (const node of kept) {
    const inputs = inputsOf(node);
    /** The convolution whose result only this node reads. */
    const host = units.findLast(
      (unit) => unit.node.op === "conv" && !unit.activation && inputs.includes(unit.result) && readers.get(unit.result) === 1,
    );
    if (host && node.op === "add" && !host.addsResidual) Object.assign(host, { addsResidual: true, result: node.name });
    else if (host && (node.op === "relu" || node.op === "clip")) {
      Object.assign(host, { activation: { op: node.op, attrs: node.attrs }, result: node.name });
    } else units.push({ node, activation: null, addsResidual: false, result: node.name });
  }
  return units;
}

/** The kernel calls of a graph in order. @throws AppError SHAPE when the graph is not valid */
export function operatorsOf(graph: Graph): Operator[] {
  const shapes = inferShapes(graph);
  return fuse(graph).map(({ node, activation, addsResidual }) => {
    const inputShape = shapes.get(node.inputs[0]!)!;
    const outputShape = shapes.get(node.name)!;
    const after = `${addsResidual ? " +add" : ""}${activation ? ` +${activation.op}${JSON.stringify(Object.values(activation.attrs))}` : ""}`;
    const count = node.inputs.length > 1 ? ` x${node.inputs.length}` : "";
    const key = `${node.op} ${inputShape.join("x")}${count} -> ${conciseAttributes(node)}${after}`;
    return { key, node, inputShape, outputShape, activation, addsResidual, macs: macsOf(node, inputShape, outputShape) };
  });
}
