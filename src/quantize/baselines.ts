/** @file What a learnt policy is compared with: the same bits everywhere, and bits taken where they are missed least. */
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { type PrecisionLimits, uniformBits, withinBudget } from "./budget.ts";
import type { Sensitivity } from "./sensitivity.ts";

/** The same bits on both sides, as many as the choices allow, from the most on. */
export function uniformPrecisions({ weightBits, activationBits }: PrecisionLimits["choices"]): Precision[] {
  const isWeightsAlone = activationBits.every((bits) => bits === FLOAT_BITS);
  const both = weightBits.filter((bits) => isWeightsAlone || activationBits.includes(bits)).toReversed();
  return both.map((bits) => ({ weightBits: bits, activationBits: isWeightsAlone ? FLOAT_BITS : bits }));
}

/** Uniform policies within the budget than which none within it has more bits on either side. */
export function uniformCandidates({ choices, pins, cost, budget }: PrecisionLimits): Precision[][] {
  const pairs = choices.isCoupled
    ? choices.weightBits.map((bits) => ({ weightBits: bits, activationBits: bits }))
    : choices.weightBits.flatMap((weightBits) => choices.activationBits.map((activationBits) => ({ weightBits, activationBits })));
  const fitting = pairs.filter((pair) => cost(uniformBits(pins, pair)) <= budget);
  const isBeaten = (a: Precision) => fitting.some((b) => b !== a && b.weightBits >= a.weightBits && b.activationBits >= a.activationBits);
  return fitting.filter((pair) => !isBeaten(pair)).map((pair) => uniformBits(pins, pair));
}

/**
 * Starts with the most bits and takes, until the budget is met, the step that loses least accuracy for the cost it saves, as measured
 * layer by layer. The usual way without learning (for example Zhou et al. 2018, arXiv:1712.01048).
 */
export function greedyBits(limits: PrecisionLimits, sensitivity: Sensitivity): Precision[] {
  const { choices, pins, cost, budget } = limits;
  const most = { weightBits: choices.weightBits.at(-1)!, activationBits: choices.activationBits.at(-1)! };
  let bits = uniformBits(pins, most);
  let total = cost(bits);
  const lossOf = (i: number, { weightBits, activationBits }: Precision): number =>
    (weightBits === FLOAT_BITS ? 0 : sensitivity(i, "weightBits", weightBits)) +
    (activationBits === FLOAT_BITS ? 0 : sensitivity(i, "activationBits", activationBits));
  while (total > budget) {
    let best: { bits: Precision[]; total: number; price: number } | null = null;
    for (const [i, pin] of pins.entries()) {
      if (pin) continue;
      const now = bits[i]!;
      const lower = choices.isCoupled
        ? choices.weightBits.filter((b) => b < now.weightBits).map((b) => ({ weightBits: b, activationBits: b }))
        : [
            ...choices.weightBits.filter((b) => b < now.weightBits).map((b) => ({ ...now, weightBits: b })),
            ...choices.activationBits.filter((b) => b < now.activationBits).map((b) => ({ ...now, activationBits: b })),
          ];
      for (const option of lower) {
        const moved = bits.map((p, j) => (j === i ? option : p));
        const saved = total - cost(moved);
        if (!(saved > 0)) continue;
        const price = Math.max(0, lossOf(i, option) - lossOf(i, now)) / saved;
        if (!best || price < best.price) best = { bits: moved, total: total - saved, price };
      }
    }
    if (!best) break;
    ({ bits, total } = best);
  }
  return withinBudget(bits, limits);
}
