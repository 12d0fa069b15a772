/** @file Actions as bits, and bits within a budget. Paper: Wang et al. 2019 (HAQ), arXiv:1811.08886, section 3.3. */
import type { Precision, PrecisionChoices } from "../hardware/precision.ts";
import { roundHalfEven } from "../util/round.ts";
import type { PolicyCost } from "./layers.ts";

export interface PrecisionLimits {
  readonly choices: PrecisionChoices;
  /** By layer: bits that are not decided; null for those that are. */
  readonly pins: readonly (Precision | null)[];
  readonly cost: PolicyCost;
  /** In the unit of `cost`. */
  readonly budget: number;
}

/** The option that an action in [0, 1] stands for: b = round(b_min − ½ + a · (b_max − b_min + 1)), within the options. */
export function optionOf(options: readonly number[], action: number): number {
  const index = roundHalfEven(options.length * action - 0.5);
  return options[Math.max(0, Math.min(options.length - 1, index))]!;
}

/** The middle of the actions that stand for an option. */
export const actionOf = (options: readonly number[], option: number): number => (options.indexOf(option) + 0.5) / options.length;

type Side = "weightBits" | "activationBits";

/** The layer with one side, or both where they are coupled, at other bits. */
function withBits(precision: Precision, side: Side, bits: number, { isCoupled }: PrecisionChoices): Precision {
  return isCoupled ? { weightBits: bits, activationBits: bits } : { ...precision, [side]: bits };
}
const sidesOf = ({ isCoupled }: PrecisionChoices): readonly Side[] => (isCoupled ? ["weightBits"] : ["activationBits", "weightBits"]);

const replaced = (bits: readonly Precision[], i: number, precision: Precision): Precision[] =>
  bits.map((p, j) => (j === i ? precision : p));

/** The same bits everywhere but at the pinned layers. */
export const uniformBits = (pins: PrecisionLimits["pins"], precision: Precision): Precision[] => pins.map((pin) => pin ?? precision);

/** Layer by layer the bits that cost least; the fewest where several cost the same. */
export function cheapestBits({ choices, pins, cost }: Omit<PrecisionLimits, "budget">): Precision[] {
  const least = { weightBits: choices.weightBits[0]!, activationBits: choices.activationBits[0]! };
  let bits = uniformBits(pins, least);
  for (const [i, pin] of pins.entries()) {
    if (pin) continue;
    for (const side of sidesOf(choices)) {
      const moves = choices[side].map((option) => replaced(bits, i, withBits(bits[i]!, side, option, choices)));
      bits = moves.reduce((best, move) => (cost(move) < cost(best) ? move : best), moves[0]!);
    }
  }
  return bits;
}

/**
 * Lowers bits one option at a time, from the last layer to the first, activations before weights, until the budget is met; an option
 * that would cost more is passed over for the next below it. Falls back on the cheapest bits.
 */
export function lowered(bits: readonly Precision[], limits: PrecisionLimits): Precision[] {
  const { choices, pins, cost, budget } = limits;
  let current = [...bits];
  let total = cost(current);
  for (let isMoving = true; isMoving && total > budget; ) {
    isMoving = false;
    for (let i = current.length - 1; i >= 0 && total > budget; i--) {
      if (pins[i]) continue;
      for (const side of sidesOf(choices)) {
        if (total <= budget) continue;
        const moves = choices[side]
          .filter((option) => option < current[i]![side])
          .toReversed()
          .map((option) => replaced(current, i, withBits(current[i]!, side, option, choices)));
        const move = moves.find((one) => cost(one) <= total);
        if (move) [current, total, isMoving] = [move, cost(move), true];
      }
    }
  }
  return total <= budget ? current : cheapestBits(limits);
}

/** Gives back what the last step down left unused: from the first layer on, weights first, up to the bits that were asked for. */
function givenBack(bits: readonly Precision[], asked: readonly Precision[], { choices, cost, budget }: PrecisionLimits): Precision[] {
  let current = [...bits];
  for (const [i, wanted] of asked.entries()) {
    for (const side of sidesOf(choices).toReversed()) {
      const above = choices[side].filter((option) => option > current[i]![side] && option <= wanted[side]).toReversed();
      const affordable = above
        .map((option) => replaced(current, i, withBits(current[i]!, side, option, choices)))
        .find((move) => cost(move) <= budget);
      if (affordable) current = affordable;
    }
  }
  return current;
}

/** Raises what costs nothing: on hardware whose cost goes in steps, some bits are free. */
export function raisedForFree(bits: readonly Precision[], { choices, pins, cost }: PrecisionLimits): Precision[] {
  let current = [...bits];
  const total = cost(current);
  for (const [i, pin] of pins.entries()) {
    if (pin) continue;
    for (const side of sidesOf(choices)) {
      const above = choices[side].filter((option) => option > current[i]![side]).toReversed();
      const free = above
        .map((option) => replaced(current, i, withBits(current[i]!, side, option, choices)))
        .find((move) => cost(move) <= total);
      if (free) current = free;
    }
  }
  return current;
}

/**
 * Spends what is left of the budget: one option at a time, where bits are fewest, weights before activations. More bits lose nothing, and
 * most policies that an agent draws would leave much of a loose budget unused.
 */
function spent(bits: readonly Precision[], { choices, pins, cost, budget }: PrecisionLimits): Precision[] {
  const current = [...bits];
  const sides = sidesOf(choices).toReversed();
  const open = pins.flatMap((pin, i) => (pin ? [] : sides.map((side) => ({ i, side }))));
  while (open.length > 0) {
    const least = open.reduce((a, b) => (current[b.i]![b.side] < current[a.i]![a.side] ? b : a));
    const { i, side } = least;
    const before = current[i]!;
    const next = choices[side].find((option) => option > before[side]);
    if (next !== undefined) {
      current[i] = withBits(before, side, next, choices);
      if (cost(current) <= budget) continue;
      current[i] = before;
    }
    open.splice(open.indexOf(least), 1);
  }
  return current;
}

/**
 * Bits within the budget, none of which could be had higher. Where bits are coupled, as on a CPU whose integers are to be faster than its
 * floats, what is left of the budget is a gain of its own and stays.
 */
export function withinBudget(bits: readonly Precision[], limits: PrecisionLimits): Precision[] {
  const asked = raisedForFree(givenBack(lowered(bits, limits), bits, limits), limits);
  return limits.choices.isCoupled ? asked : spent(asked, limits);
}
