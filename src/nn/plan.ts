/** @file What running a graph can save: fused batch norm + ReLU, activations in place, memory freed at the last use. */
import type { Graph, Node, OpType } from "../graph/types.ts";

export interface NodePlan {
  /** A batchNorm that also applies the ReLU that follows it. */
  readonly fusesRelu: boolean;
  /** A relu that its batchNorm has applied already. */
  readonly isFusedAway: boolean;
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
  const isFused = (norm: Node, relu: Node | null) => norm.op === "batchNorm" && relu?.op === "relu";
  return graph.nodes.map((node, i) => {
    const producer = byName.get(node.inputs[0] ?? "");
    const isOnlyReader = producer !== undefined && onlyReader(producer.name) === node;
    const isFusedAway = isOnlyReader && isFused(producer, node);
    return {
      fusesRelu: isFused(node, onlyReader(node.name)),
      isFusedAway,
      inPlace: !isFusedAway && isOnlyReader && IN_PLACE.has(node.op) && RESULT_UNUSED[producer.op],
      dying: [...new Set(node.inputs)].filter((name) => lastUse.get(name) === i && name !== graph.output),
    };
  });
}
