/** @file Architecture updates by policy gradient, for costs or accuracies that cannot be differentiated. */

/** R = accuracy · (T / cost)^w. Source: the MnasNet reward that ProxylessNAS-R uses, w = 0.1 in its code. */
export function reward(accuracy: number, cost: number, target: number, exponent = 0.1): number {
  return accuracy * (target / cost) ** exponent;
}

/** d log p(choice) / dα = δ − p, for one block. */
export function logProbabilityGradient(probabilities: Float64Array, choice: number): Float64Array {
  return probabilities.map((p, i) => (i === choice ? 1 : 0) - p);
}

/** Moves a baseline towards the mean reward; it starts at the first one. */
export function nextBaseline(baseline: number | null, meanReward: number, rate: number): number {
  return baseline === null ? meanReward : baseline + rate * (meanReward - baseline);
}
