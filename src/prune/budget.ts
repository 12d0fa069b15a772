/** @file How many channels an action may keep, so that the budget can still be met. Paper: He et al. 2018 (AMC), algorithm 1. */
import type { CostOf } from "./costs.ts";

export interface Rounding {
  /** Channels come in multiples of this, where the group has that many. */
  readonly step: number;
  /** The same by group, in its members, where those are several channels each (see `memberSteps`). */
  readonly steps?: readonly number[];
  /** Lowest share of channels to keep (default of the paper's code: 0.2). */
  readonly lowest: number;
  /** Round down where rounding up would exceed the budget; the published code does not. */
  readonly isStrict: boolean;
}

/** Published: max(1, round(C·a)) rounded up to a multiple of `step`, or down where that exceeds C; the whole group stays whole. */
export function roundedCount(size: number, share: number, step: number): number {
  const wanted = Math.max(1, Math.round(size * share));
  if (wanted >= size) return size;
  const up = Math.ceil(wanted / step) * step;
  if (up <= size) return up;
  return Math.floor(size / step) * step || size;
}

/** In members of group `t`. */
export const stepOf = ({ step, steps }: Rounding, t: number): number => steps?.[t] ?? step;

/** Fewest members that group `t` may keep. */
export const fewest = (size: number, rounding: Rounding, t: number): number =>
  rounding.isStrict ? roundedCount(size, rounding.lowest, stepOf(rounding, t)) : size * rounding.lowest;

/**
 * The count that an action gives for group `t`: at most what leaves room for all later groups at their fewest. `kept` holds the
 * counts decided so far and the fewest of the rest.
 */
export function boundedCount(
  cost: CostOf,
  kept: readonly number[],
  t: number,
  size: number,
  action: number,
  budget: number,
  rounding: Rounding,
): number {
  const at = (count: number) => cost(kept.map((n, i) => (i === t ? count : n)));
  const [none, all] = [at(0), at(size)];
  const most = all > none ? (budget - none) / (all - none) : 1;
  const share = Math.max(Math.min(Math.max(0, Math.min(1, action)), most), rounding.lowest);
  const step = stepOf(rounding, t);
  let count = roundedCount(size, share, step);
  if (rounding.isStrict) {
    const least = fewest(size, rounding, t);
    while (count > least && at(count) > budget) count = Math.max(least, roundedDown(count, step));
    // where both sides of a layer shrink together the cost is no straight line: what it leaves unused is given back
    const wanted = roundedCount(size, Math.max(action, rounding.lowest), step);
    const next = () => Math.min(size, count + step);
    while (next() > count && next() <= wanted && at(next()) <= budget) count = next();
  }
  return count;
}

const roundedDown = (count: number, step: number) => Math.ceil(count / step - 1) * step;
