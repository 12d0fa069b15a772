/** @file How a classifier ends: training wants one number a class, its users may want probabilities, or a 1×1 map. */
import { inferShapes } from "./shapes.ts";
import type { Graph, Node, OpType } from "./types.ts";

/** Operators that only dress up the numbers of the classes. */
const DRESSING: ReadonlySet<OpType> = new Set<OpType>(["softmax", "flatten", "reshape"]);
const FLATTENED = ".logits";

/** The dressing at a graph's end, first to last, and the value that it dresses. */
function endingOf(graph: Graph): { readonly base: string; readonly nodes: readonly Node[] } {
  const byName = new Map(graph.nodes.map((node) => [node.name, node]));
  const nodes: Node[] = [];
  let base = graph.output;
  for (let node = byName.get(base); node && DRESSING.has(node.op); node = byName.get(base)) {
    nodes.unshift(node);
    base = node.inputs[0]!;
  }
  return { base, nodes };
}

/** The graph up to one number [F] a class, before any softmax; the argument itself if it ends so. */
export function withLogits(graph: Graph): Graph {
  const { base, nodes } = endingOf(graph);
  const shapes = inferShapes(graph);
  const isPlain = shapes.get(graph.output)!.length === 1 && nodes.every(({ op }) => op !== "softmax");
  if (isPlain) return graph;
  const rest = graph.nodes.filter((node) => !nodes.includes(node));
  if (shapes.get(base)!.length === 1) return { ...graph, nodes: rest, output: base };
  const flat: Node = { name: `${base}${FLATTENED}`, op: "flatten", inputs: [base], params: {}, attrs: {} };
  return { ...graph, nodes: [...rest, flat], output: flat.name };
}

/** A graph made of `withLogits(original)`, with the ending of the original. */
export function withEndingOf(original: Graph, graph: Graph): Graph {
  if (withLogits(original) === original) return graph;
  const last = graph.nodes.find(({ name }) => name === graph.output)!;
  const isAdded = last.op === "flatten" && last.name.endsWith(FLATTENED) && !original.nodes.some(({ name }) => name === last.name);
  const nodes = isAdded ? graph.nodes.filter((node) => node !== last) : [...graph.nodes];
  let output = isAdded ? last.inputs[0]! : graph.output;
  for (const node of endingOf(original).nodes) {
    nodes.push({ ...node, inputs: [output] } as Node);
    output = node.name;
  }
  return { ...graph, nodes, output };
}
