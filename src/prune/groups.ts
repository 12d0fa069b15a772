/** @file Groups of channels: atoms that are read and made by the same layers, among which a pruner chooses. */

import { isDepthwise, isLayer } from "../graph/layers.ts";
import type { Graph } from "../graph/types.ts";
import { type Coupling, traceChannels } from "./coupling.ts";

export interface ChannelGroup {
  /** Of the first layer that makes its channels. */
  readonly name: string;
  /** Atoms in the order of their channels; removing one removes it from every member. */
  readonly atoms: Int32Array;
  /** Layers whose output channels these are, in execution order. */
  readonly producers: readonly string[];
  /** Layers that read them. */
  readonly consumers: readonly string[];
  /** Why it must be kept whole; null for a group that can be pruned. */
  readonly reason: string | null;
}

/** All groups, in the order in which their channels are first made. */
export function channelGroups(graph: Graph, coupling: Coupling = traceChannels(graph)): ChannelGroup[] {
  const { atomsOf, frozen } = coupling;
  const makers = new Map<number, Set<string>>();
  const readers = new Map<number, Set<string>>();
  const note = (map: Map<number, Set<string>>, atom: number, layer: string) => {
    const known = map.get(atom);
    if (known) known.add(layer);
    else map.set(atom, new Set([layer]));
  };
  for (const node of graph.nodes) {
    if (!isLayer(node)) continue;
    const inputs = atomsOf.get(node.inputs[0]!)!;
    if (isDepthwise(node, inputs.length)) continue;
    for (const atom of inputs) note(readers, atom, node.name);
    for (const atom of atomsOf.get(node.name)!) note(makers, atom, node.name);
  }
  const groups = new Map<string, { atoms: number[]; producers: string[]; consumers: string[]; reason: string | null }>();
  for (const [atom, layers] of makers) {
    const producers = [...layers];
    const consumers = [...(readers.get(atom) ?? [])];
    const reason = frozen.get(atom) ?? (consumers.length === 0 ? "no layer reads it" : null);
    const key = JSON.stringify([producers, consumers, reason]);
    const known = groups.get(key);
    if (known) known.atoms.push(atom);
    else groups.set(key, { atoms: [atom], producers, consumers, reason });
  }
  return [...groups.values()].map(({ atoms, ...group }) => ({ name: group.producers[0]!, atoms: Int32Array.from(atoms), ...group }));
}
