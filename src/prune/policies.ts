/** @file Rules of thumb and chance, as the published comparison has them: how many channels each group keeps within a budget. */

import type { Rng } from "../util/rng.ts";
import { fewest } from "./budget.ts";
import type { EnvironmentOptions } from "./environment.ts";
import { groupSizes } from "./environment.ts";
import { type ScaledOptions, scaledPolicy } from "./scaled.ts";

export const RULES = ["uniform", "shallow", "deep"] as const;
export type RuleName = (typeof RULES)[number];

/** How strongly a rule prunes at relative depth d (0 first, 1 last). */
const STRENGTH: Record<RuleName, (d: number) => number> = { uniform: () => 1, shallow: (d) => 1 - d, deep: (d) => d };

/** Group t keeps the share 1 − s · strength(t), for the smallest s that fits the budget; null if none does. */
const prunedBy = (strength: (t: number) => number, options: Omit<ScaledOptions, "share" | "highest">): number[] | null =>
  scaledPolicy({ ...options, share: (s, t) => 1 - s * strength(t), highest: 2 * Math.max(1, options.sizes.length - 1) });

/** The rule's policy within the budget; null when the groups that it prunes cannot save enough. */
export function rulePolicy(rule: RuleName, { prunable, cost, budget, rounding }: EnvironmentOptions): number[] | null {
  const sizes = groupSizes(prunable);
  const last = Math.max(1, sizes.length - 1);
  return prunedBy((t) => STRENGTH[rule](t / last), { sizes, cost, budget, rounding });
}

/** Every group pruned by a random strength, scaled so that the budget is used; random shares alone would use half of it. */
export function randomPolicy({ prunable, cost, budget, rounding }: EnvironmentOptions, rng: Rng): number[] {
  const sizes = groupSizes(prunable);
  const strengths = sizes.map(() => 0.05 + 0.95 * rng.uniform());
  return prunedBy((t) => strengths[t]!, { sizes, cost, budget, rounding }) ?? cheapest({ prunable, rounding });
}

/** The cheapest policy there is. */
export const cheapest = ({ prunable, rounding }: Pick<EnvironmentOptions, "prunable" | "rounding">): number[] =>
  groupSizes(prunable).map((size, t) => fewest(size, { ...rounding, isStrict: true }, t));
