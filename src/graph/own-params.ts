/** @file Parameters of their own for every node: exporters give one constant to all nodes that hold equal numbers. */
import type { Model } from "./types.ts";

/** The model with a copy of every shared parameter but weights, which are shared on purpose: channels of each node can then differ. */
export function withOwnParams({ graph, weights }: Model): Model {
  const taken = new Set<string>();
  const copies = new Map(weights);
  const nodes = graph.nodes.map((node) => {
    const params = Object.entries(node.params).map(([role, name]): [string, string] => {
      if (role === "weight" || !taken.has(name)) {
        taken.add(name);
        return [role, name];
      }
      let own = `${node.name}.${role}`;
      while (copies.has(own)) own += "'";
      const { shape, data } = weights.get(name)!;
      copies.set(own, { shape, data: data.slice() });
      return [role, own];
    });
    return { ...node, params: Object.fromEntries(params) } as typeof node;
  });
  return { graph: { ...graph, nodes }, weights: copies };
}
