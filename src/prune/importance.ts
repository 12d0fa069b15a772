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
  const order = [...group.atoms.keys()].sort((a, b) => importance[b]! - importance[a]! || a - b);
  const indispensable = firstOfEveryValue(order, position, atomsOf);
  return Int32Array.from(
    [...order.filter((i) => indispensable.has(i)), ...order.filter((i) => !indispensable.has(i))],
    (i) => group.atoms[i]!,
  );
}

/** The most important atom of each value that this group alone makes up, a slice of its channels for example: without it nothing of the value would be left. */
function firstOfEveryValue(
  order: readonly number[],
  position: ReadonlyMap<number, number>,
  atomsOf: Coupling["atomsOf"],
): ReadonlySet<number> {
  const rank = new Map(order.map((i, r) => [i, r]));
  const first = new Set<number>();
  for (const atoms of atomsOf.values()) {
    const own = Array.from(new Set(atoms), (atom) => position.get(atom));
    if (own.some((i) => i === undefined)) continue;
    first.add((own as number[]).reduce((best, i) => (rank.get(i)! < rank.get(best)! ? i : best)));
  }
  return first;
}
