/** @file Batch normalisation statistics of a network whose weights were changed or shared. */
import type { Graph, Node } from "../graph/types.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import type { ParameterStore } from "./parameters.ts";
import { run } from "./run.ts";

const graphs = new WeakMap<Graph, Graph[]>();

/** The graph whose running statistics take in batch `i` as the mean of all batches so far; dropout is off. */
function averagingGraph(graph: Graph, i: number): Graph {
  const known = graphs.get(graph) ?? [];
  graphs.set(graph, known);
  known[i] ??= {
    ...graph,
    nodes: graph.nodes.map((node): Node => {
      if (node.op === "batchNorm") return { ...node, attrs: { ...node.attrs, momentum: 1 / (i + 1) } };
      return node.op === "dropout" ? { ...node, attrs: { rate: 0 } } : node;
    }),
  };
  return known[i];
}

/**
 * Replaces the running means and variances by averages over `batches` of normalised images, which must be equally large.
 * Source: "reset running statistics" of Once-for-All; its batches are weighted, ours are equal.
 */
export function recalibrate(graph: Graph, params: ParameterStore, batches: readonly Float32Array[]): void {
  if (!graph.nodes.some(({ op }) => op === "batchNorm")) return;
  const size = graph.input.shape.reduce((product, n) => product * n, 1);
  for (const [i, images] of batches.entries()) {
    using _scope = createScope();
    const x = fromArray([images.length / size, ...graph.input.shape], images);
    run(averagingGraph(graph, i), params, x, { tape: null, mode: "train" });
  }
}
