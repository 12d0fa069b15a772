/** @file Rules of thumb and chance, as the published comparison has them: how many channels each group keeps within a budget. */

import type { Rng } from "../util/rng.ts";
import { fewest, type Rounding, roundedCount } from "./budget.ts";
import type { CostOf } from "./costs.ts";
import type { EnvironmentOptions } from "./environment.ts";
import { groupSizes } from "./environment.ts";

export const RULES = ["uniform", "shallow", "deep"] as const;
export type RuleName = (typeof RULES)[number];

/** How strongly a rule prunes at relative depth d (0 first, 1 last). */
const STRENGTH: Record<RuleName, (d: number) => number> = { uniform: () => 1, shallow: (d) => 1 - d, deep: (d) => d };
const BISECTIONS = 40;

/** Group t keeps the share 1 − s · strength(t), for the smallest s that fits the budget, then single steps more; null if none does. */
function scaledPolicy(
  strength: (t: number) => number,
  sizes: readonly number[],
  cost: CostOf,
  budget: number,
  rounding: Rounding,
): number[] | null {
  const share = (s: number, t: number) => Math.max(rounding.lowest, 1 - s * strength(t));
  const at = (s: number) =>
    sizes.map((size, t) => Math.max(fewest(size, { ...rounding, isStrict: true }), roundedCount(size, share(s, t), rounding.step)));
  let [low, high] = [0, 2 * Math.max(1, sizes.length - 1)];
  if (cost(at(high)) > budget) return null;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (cost(at(middle)) <= budget) high = middle;
    else low = middle;
  }
  return spent(at(high), sizes, cost, budget, rounding, (t) => sizes[t]! * share(high, t));
}

/** The rule's policy within the budget; null when the groups that it prunes cannot save enough. */
export function rulePolicy(rule: RuleName, sizes: readonly number[], cost: CostOf, budget: number, rounding: Rounding): number[] | null {
  const last = Math.max(1, sizes.length - 1);
  return scaledPolicy((t) => STRENGTH[rule](t / last), sizes, cost, budget, rounding);
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

/** Every group pruned by a random strength, scaled so that the budget is used; random shares alone would use half of it. */
export function randomPolicy({ prunable, cost, budget, rounding }: EnvironmentOptions, rng: Rng): number[] {
  const sizes = groupSizes(prunable);
  const strengths = sizes.map(() => 0.05 + 0.95 * rng.uniform());
  return scaledPolicy((t) => strengths[t]!, sizes, cost, budget, rounding) ?? cheapest({ prunable, cost, budget, rounding });
}

/** The cheapest policy there is. */
export const cheapest = (options: EnvironmentOptions): number[] =>
  groupSizes(options.prunable).map((size) => fewest(size, { ...options.rounding, isStrict: true }));
