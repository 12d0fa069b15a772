/** @file Rules of thumb and chance, as the published comparison has them: how many channels each group keeps within a budget. */

import type { Rng } from "../util/rng.ts";
import { fewest, type Rounding, roundedCount } from "./budget.ts";
import type { CostOf } from "./costs.ts";
import type { EnvironmentOptions } from "./environment.ts";
import { createEnvironment, groupSizes } from "./environment.ts";

export const RULES = ["uniform", "shallow", "deep"] as const;
export type RuleName = (typeof RULES)[number];

/** How strongly a rule prunes at relative depth d (0 first, 1 last). */
const STRENGTH: Record<RuleName, (d: number) => number> = { uniform: () => 1, shallow: (d) => 1 - d, deep: (d) => d };
const BISECTIONS = 40;

/** The rule's policy: group t keeps the share 1 − s · strength(d_t), for the smallest s that fits the budget; then single steps more. */
export function rulePolicy(rule: RuleName, sizes: readonly number[], cost: CostOf, budget: number, rounding: Rounding): number[] {
  const last = Math.max(1, sizes.length - 1);
  const at = (s: number) =>
    sizes.map((size, t) => {
      const share = Math.max(rounding.lowest, 1 - s * STRENGTH[rule](t / last));
      return Math.max(fewest(size, { ...rounding, isStrict: true }), roundedCount(size, share, rounding.step));
    });
  let [low, high] = [0, 2 * last];
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (cost(at(middle)) <= budget) high = middle;
    else low = middle;
  }
  return spent(at(high), sizes, cost, budget, rounding, (t) => sizes[t]! * Math.max(rounding.lowest, 1 - high * STRENGTH[rule](t / last)));
}

/** Gives back one step to the groups that rounding hurt most, while that fits: what rounding left over is not wasted. */
function spent(
  kept: readonly number[],
  sizes: readonly number[],
  cost: CostOf,
  budget: number,
  { step }: Rounding,
  wanted: (t: number) => number,
): number[] {
  const result = [...kept];
  const byLoss = [...sizes.keys()].sort((a, b) => wanted(b) - kept[b]! - (wanted(a) - kept[a]!));
  for (const t of byLoss) {
    const more = result.map((n, i) => (i === t ? Math.min(sizes[t]!, n + step) : n));
    if (cost(more) <= budget) result[t] = more[t]!;
  }
  return result;
}

/** A policy of uniformly random actions, bounded as the agent's are. */
export const randomPolicy = (options: EnvironmentOptions, rng: Rng): number[] => [
  ...createEnvironment(options).play(() => rng.uniform()).decisions,
];

/** The cheapest policy there is. */
export const cheapest = (options: EnvironmentOptions): number[] =>
  groupSizes(options.prunable).map((size) => fewest(size, { ...options.rounding, isStrict: true }));
