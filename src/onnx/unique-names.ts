/** @file Names that a file may give to one thing only: our values, weights and the file's output are named apart. */
import type { FoldedModel } from "../graph/fold.ts";
import type { Node, Weight } from "../graph/types.ts";

/** A name that is not among `taken`. */
function free(name: string, suffix: string, taken: (name: string) => boolean): string {
  let candidate = `${name}.${suffix}`;
  for (let i = 2; taken(candidate); i++) candidate = `${name}.${suffix}${i}`;
  return candidate;
}

/** The same model, with no value called as a weight is, and nothing but the output called `outputName`. */
export function withUniqueNames(model: FoldedModel, outputName: string): FoldedModel {
  const { graph, weights, scaled } = model;
  const valueNames = new Set([graph.input.name, ...graph.nodes.map(({ name }) => name)]);
  const isKnown = (name: string) => name === outputName || weights.has(name) || valueNames.has(name);
  const values = new Map<string, string>();
  for (const { name } of graph.nodes) if (weights.has(name) || name === outputName) values.set(name, free(name, "value", isKnown));
  const params = new Map<string, string>();
  if (weights.has(outputName)) params.set(outputName, free(outputName, "weight", isKnown));
  if (values.size + params.size === 0) return model;
  const named = (name: string) => values.get(name) ?? name;
  const paramOf = (name: string) => params.get(name) ?? name;
  const nodes = graph.nodes.map((node) => {
    const renamed = Object.entries(node.params).map(([role, name]) => [role, paramOf(name)]);
    return { ...node, name: named(node.name), inputs: node.inputs.map(named), params: Object.fromEntries(renamed) } as Node;
  });
  return {
    graph: { ...graph, nodes, output: named(graph.output) },
    weights: new Map([...weights].map(([name, weight]): [string, Weight] => [paramOf(name), weight])),
    scaled: new Map([...scaled].map(([name, one]) => [paramOf(name), one])),
  };
}
