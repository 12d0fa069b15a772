/** @file What running a graph can save: fused batch norm + ReLU, activations in place, memory freed at the last use. */
import type { Graph, Node, NodeOf, OpAttrs, OpType } from "../graph/types.ts";

export interface NodePlan {
  /** A batchNorm that also applies the ReLU that follows it. */
  readonly fusesRelu: boolean;
  /** A relu that its batchNorm has applied already, a clip or a convolution that the node after it will apply. */
  readonly isFusedAway: boolean;
  /** Bounds by which a convolution clips its input, in place of a clip node before it. */
  readonly clipInput: OpAttrs["clip"] | null;
  /** A widening 1×1 convolution that this batchNorm may compute together with itself. */
  readonly convolution: NodeOf<"conv"> | null;
  /** Bounds by which that convolution may clip the result at once, for the clip after this batchNorm. */
  readonly clipOutput: OpAttrs["clip"] | null;
  /** An activation that may overwrite its input. */
  readonly inPlace: boolean;
  /** Values that nobody reads after this node. */
  readonly dying: readonly string[];
}

/** Ops whose own gradient does not read their result. */
const RESULT_UNUSED: Record<OpType, boolean> = {
  conv: true,
  batchNorm: true,
  add: true,
  mul: true,
  concat: true,
  padChannels: true,
  pad: true,
  quantize: true,
  sliceChannels: true,
  channelShuffle: true,
  affine: false,
  lrn: false,
  averagePool: true,
  globalAveragePool: true,
  linear: true,
  maxPool: true,
  relu: false,
  clip: false,
  leakyRelu: false,
  hardSwish: false,
  sigmoid: false,
  hardSigmoid: false,
  flatten: false,
  reshape: false,
  softmax: false,
  dropout: false,
  opaque: false,
};
const IN_PLACE: ReadonlySet<OpType> = new Set<OpType>(["relu", "clip", "leakyRelu", "sigmoid"]);

const plans = new WeakMap<Graph, readonly NodePlan[]>();

/** The plan of each node, in the graph's order; computed once per graph. */
export function planOf(graph: Graph): readonly NodePlan[] {
  let plan = plans.get(graph);
  if (!plan) {
    plan = makePlan(graph);
    plans.set(graph, plan);
  }
  return plan;
}

/** 1×1, stride 1, dense, without padding or bias. */
function isPointwise({ attrs }: NodeOf<"conv">): boolean {
  const { kernel, stride, groups, hasBias, padding } = attrs;
  const isPadded = padding.top + padding.left + padding.bottom + padding.right > 0;
  return kernel[0] * kernel[1] * stride[0] * stride[1] * groups === 1 && !hasBias && !isPadded;
}

function makePlan(graph: Graph): NodePlan[] {
  const readers = new Map<string, Node[]>();
  const lastUse = new Map<string, number>();
  const byName = new Map<string, Node>();
  for (const [i, node] of graph.nodes.entries()) {
    byName.set(node.name, node);
    for (const input of node.inputs) {
      readers.set(input, [...(readers.get(input) ?? []), node]);
      lastUse.set(input, i);
    }
  }
  const onlyReader = (name: string) => (name !== graph.output && readers.get(name)?.length === 1 ? readers.get(name)![0]! : null);
  const producerOf = (node: Node) => byName.get(node.inputs[0] ?? "");
  const fusesRelu = (norm: Node | undefined, reader: Node | null) => norm?.op === "batchNorm" && reader?.op === "relu";
  /** An activation may overwrite what its producer made when the producer's gradient does not read it and nobody else does. */
  const mayOverwrite = (node: Node) => {
    const producer = producerOf(node);
    return producer !== undefined && RESULT_UNUSED[producer.op] && onlyReader(producer.name) === node;
  };
  const isLeftToConv = (node: Node | undefined) => node?.op === "clip" && mayOverwrite(node) && onlyReader(node.name)?.op === "conv";
  const fusable = (norm: Node | undefined): NodeOf<"conv"> | null => {
    const conv = norm?.op === "batchNorm" ? producerOf(norm) : undefined;
    const isAlone = conv?.op === "conv" && isPointwise(conv) && onlyReader(conv.name) === norm && !isLeftToConv(producerOf(conv));
    return isAlone && !fusesRelu(norm, onlyReader(norm!.name)) ? conv : null;
  };
  const clipAfter = (norm: Node): OpAttrs["clip"] | null => {
    const reader = fusable(norm) ? onlyReader(norm.name) : null;
    return reader?.op === "clip" && isLeftToConv(reader) ? reader.attrs : null;
  };
  return graph.nodes.map((node, i) => {
    const producer = producerOf(node);
    const isReluDone = node.op === "relu" && producer !== undefined && onlyReader(producer.name) === node && fusesRelu(producer, node);
    const isFusedAway = isReluDone || isLeftToConv(node) || (node.op === "conv" && fusable(onlyReader(node.name) ?? undefined) === node);
    return {
      fusesRelu: fusesRelu(node, onlyReader(node.name)),
      isFusedAway,
      clipInput: node.op === "conv" && producer?.op === "clip" && isLeftToConv(producer) ? producer.attrs : null,
      convolution: fusable(node),
      clipOutput: clipAfter(node),
      inPlace: !isFusedAway && IN_PLACE.has(node.op) && mayOverwrite(node),
      dying: [...new Set(node.inputs)].filter((name) => lastUse.get(name) === i && name !== graph.output),
    };
  });
}
