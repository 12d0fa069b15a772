/** @file How well predictions put things in order. */

interface Pairs {
  readonly concordant: number;
  readonly discordant: number;
  /** Pairs whose actual values differ, and pairs whose predictions differ. */
  readonly byActual: number;
  readonly byPrediction: number;
}

function countPairs(predicted: ArrayLike<number>, actual: ArrayLike<number>): Pairs {
  let [concordant, discordant, byActual, byPrediction] = [0, 0, 0, 0];
  for (let i = 0; i < actual.length; i++) {
    for (let j = 0; j < i; j++) {
      const a = Math.sign(actual[i]! - actual[j]!);
      const p = Math.sign(predicted[i]! - predicted[j]!);
      if (a !== 0) byActual++;
      if (p !== 0) byPrediction++;
      if (a * p > 0) concordant++;
      else if (a * p < 0) discordant++;
    }
  }
  return { concordant, discordant, byActual, byPrediction };
}

/** Share of the pairs of different actual values whose predictions are in the same order; equal predictions count half. */
export function pairwiseAccuracy(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const { concordant, discordant, byActual } = countPairs(predicted, actual);
  return (concordant + (byActual - concordant - discordant) / 2) / byActual;
}

/** Kendall's τ-b, −1 … 1. */
export function kendallTau(predicted: ArrayLike<number>, actual: ArrayLike<number>): number {
  const { concordant, discordant, byActual, byPrediction } = countPairs(predicted, actual);
  return (concordant - discordant) / Math.sqrt(byActual * byPrediction);
}
