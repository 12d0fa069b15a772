/** @file Costs of a space on a device: a table of every candidate of every block, additive over the network. */
import type { Rng } from "../util/rng.ts";

/** In ms or MACs. */
export interface CostTable {
  /** Stem, first block, head: what every network has. */
  readonly fixed: number;
  /** perChoice[b][c]: choice c of block b; 0 for a block that is left out. */
  readonly perChoice: readonly (readonly number[])[];
}

/** Cost of one architecture. */
export function costOf(table: CostTable, architecture: readonly number[]): number {
  return table.perChoice.reduce((sum, choices, b) => sum + choices[architecture[b]!]!, table.fixed);
}

/** E[cost] = fixed + Σ_b Σ_j p_bj · cost_bj; its derivative by p_bj is cost_bj. Paper: section 3.3, eq. 5. */
export function expectedCost(table: CostTable, probabilities: readonly Float64Array[]): number {
  return table.perChoice.reduce(
    (sum, choices, b) => sum + choices.reduce((s, cost, c) => s + cost * probabilities[b]![c]!, 0),
    table.fixed,
  );
}

const argmin = (values: readonly number[]) => values.indexOf(Math.min(...values));
const argmax = (values: readonly number[]) => values.indexOf(Math.max(...values));

export interface Feasibility {
  readonly minimum: number;
  readonly maximum: number;
  /** Share of random architectures within the budget, 0…1. */
  readonly share: number;
}

/** Which costs the space can reach, before any training. */
export function feasibility(table: CostTable, budget: number, rng: Rng, draws = 2000): Feasibility {
  let within = 0;
  for (let i = 0; i < draws; i++) {
    if (
      costOf(
        table,
        table.perChoice.map((choices) => rng.int(choices.length)),
      ) <= budget
    )
      within++;
  }
  return {
    minimum: costOf(table, table.perChoice.map(argmin)),
    maximum: costOf(table, table.perChoice.map(argmax)),
    share: within / draws,
  };
}
