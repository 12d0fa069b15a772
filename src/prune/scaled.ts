/** @file Shares of channels scaled together, so that a policy uses its budget and no more. */
import { fewest, type Rounding, roundedCount, stepOf } from "./budget.ts";
import type { CostOf } from "./costs.ts";

export interface ScaledOptions {
  /** Share of group t that stays at scale s, falling in s. */
  readonly share: (s: number, t: number) => number;
  /** At this scale everything is at its least. */
  readonly highest: number;
  /** Channels of every group. */
  readonly sizes: readonly number[];
  readonly cost: CostOf;
  /** In the unit of `cost`. */
  readonly budget: number;
  readonly rounding: Rounding;
}

const BISECTIONS = 40;

/** The policy of the smallest scale within the budget, then single steps more; null where none is within it. */
export function scaledPolicy({ share, highest, sizes, cost, budget, rounding }: ScaledOptions): number[] | null {
  const { lowest } = rounding;
  const bounded = (s: number, t: number) => Math.max(lowest, Math.min(1, share(s, t)));
  const least = sizes.map((size, t) => fewest(size, { ...rounding, isStrict: true }, t));
  const at = (s: number) => sizes.map((size, t) => Math.max(least[t]!, roundedCount(size, bounded(s, t), stepOf(rounding, t))));
  let [low, high] = [0, highest];
  if (cost(at(high)) > budget) return null;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (cost(at(middle)) <= budget) high = middle;
    else low = middle;
  }
  return spent(at(high), (t) => sizes[t]! * bounded(high, t), { sizes, cost, budget, rounding });
}

/** Gives back one step to the groups that rounding hurt most, while that fits: what rounding left over is not wasted. */
function spent(
  kept: readonly number[],
  wanted: (t: number) => number,
  { sizes, cost, budget, rounding }: Omit<ScaledOptions, "share" | "highest">,
): number[] {
  const result = [...kept];
  const byLoss = [...sizes.keys()].sort((a, b) => wanted(b) - kept[b]! - (wanted(a) - kept[a]!));
  for (const t of byLoss) {
    const more = result.map((n, i) => (i === t ? Math.min(sizes[t]!, n + stepOf(rounding, t)) : n));
    if (cost(more) <= budget) result[t] = more[t]!;
  }
  return result;
}

/** Smallest action that is scaled up: nothing can be made of 0. */
const LEAST_ACTION = 1e-3;

/** Actions taken as proportions: all scaled by one factor to what the budget allows; null where it allows none. */
export const actionsWithin = (actions: readonly number[], options: Omit<ScaledOptions, "share" | "highest">): number[] | null =>
  scaledPolicy({
    ...options,
    share: (s, t) => Math.max(LEAST_ACTION, actions[t]!) / s,
    highest: 1 / Math.max(LEAST_ACTION, options.rounding.lowest),
  });
