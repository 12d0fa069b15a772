/** @file How well predictions put things in order. */

/** Predictions of values, and the values, in the same order. */
export interface Predicted {
  readonly predicted: ArrayLike<number>;
  readonly actual: ArrayLike<number>;
}
export interface Order {
  /** Share of the pairs of different actual values whose predictions are in the same order; equal predictions count half. null: no such pair. */
  readonly pairwiseAccuracy: number | null;
  /** Kendall's τ-b, −1 … 1; null where no values, or no predictions, differ. */
  readonly kendallTau: number | null;
}

/** Of the pairs within each list, all taken together. */
export function orderOf(lists: readonly Predicted[]): Order {
  let [concordant, discordant, byActual, byPrediction] = [0, 0, 0, 0];
  for (const { predicted, actual } of lists) {
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
  }
  const differing = Math.sqrt(byActual * byPrediction);
  return {
    pairwiseAccuracy: byActual === 0 ? null : (concordant + (byActual - concordant - discordant) / 2) / byActual,
    kendallTau: differing === 0 ? null : (concordant - discordant) / differing,
  };
}
