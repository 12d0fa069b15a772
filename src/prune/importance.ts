/** @file Which channels of a group matter least: by the magnitude of the weights that read them. */
import type { Model } from "../graph/types.ts";
import type { Coupling } from "./coupling.ts";
import type { ChannelGroup } from "./groups.ts";

/**
 * Atoms of a group from the most to the least important. An atom's importance is Σ|w| over the weights that read it, each layer's
 * divided by that layer's mean so that several readers count alike. Paper: He et al. 2018 (AMC), section 3.2.
 */
export function rankAtoms({ graph, weights }: Model, { atomsOf }: Coupling, group: ChannelGroup): Int32Array {
  const position = new Map([...group.atoms].map((atom, i) => [atom, i]));
  const importance = new Float64Array(group.atoms.length);
  for (const node of graph.nodes) {
    if (!group.consumers.includes(node.name)) continue;
    const inputs = atomsOf.get(node.inputs[0]!)!;
    const { shape, data } = weights.get(node.params.weight!)!;
    const [rows, columns, ...rest] = shape as [number, number, ...number[]];
    const cell = rest.reduce((product, n) => product * n, 1);
    const rowsPerGroup = rows / (inputs.length / columns);
    const own = new Float64Array(importance.length);
    let total = 0;
    for (let r = 0, at = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, at += cell) {
        const atom = position.get(inputs[Math.floor(r / rowsPerGroup) * columns + c]!);
        if (atom === undefined) continue;
        for (let i = at; i < at + cell; i++) own[atom]! += Math.abs(data[i]!);
      }
    }
    for (const value of own) total += value;
    if (total > 0) for (let i = 0; i < own.length; i++) importance[i]! += (own[i]! * own.length) / total;
  }
  return Int32Array.from(
    [...group.atoms.keys()].sort((a, b) => importance[b]! - importance[a]! || a - b),
    (i) => group.atoms[i]!,
  );
}
