/** @file From gradients of gates and costs to gradients and updates of architecture parameters. */

/**
 * dL/dαᵢ = Σⱼ dL/dgⱼ · pⱼ · (δᵢⱼ − pᵢ) over the sampled candidates; 0 for the others (their p is 0). Paper: eq. 4.
 * The same formula takes the gradient of an expected cost, whose dE/dpⱼ is the cost of candidate j.
 * @param gateGradient dL/dg, one number per candidate
 */
export function alphaGradient(gateGradient: Float64Array, probabilities: Float64Array): Float64Array {
  let mean = 0;
  for (let j = 0; j < probabilities.length; j++) mean += gateGradient[j]! * probabilities[j]!;
  return probabilities.map((p, i) => p * (gateGradient[i]! - mean));
}

/**
 * After a step on two candidates: shifts both so that Σ exp α over the pair, and with it every other candidate's probability, is
 * as before. offset = ln(Σ exp α_new / Σ exp α_old); α ← α_new − offset.
 */
export function rescalePair(next: Float64Array, before: Float64Array, pair: readonly number[]): Float64Array {
  const sum = (alpha: Float64Array) => pair.reduce((total, i) => total + Math.exp(alpha[i]!), 0);
  const offset = Math.log(sum(next) / sum(before));
  return next.map((a, i) => (pair.includes(i) ? a - offset : a));
}

/** Adam's memory for one block's α. With β₁ = 0 only the second moment is kept. */
export interface AlphaOptimizerState {
  readonly square: Float64Array;
  readonly steps: number;
}

export const initialAlphaState = (count: number): AlphaOptimizerState => ({ square: new Float64Array(count), steps: 0 });

/** Adam with β = (0, 0.999), ε = 1e-8, as ProxylessNAS trains α: momentum would move candidates that were not sampled. */
export function alphaStep(
  alpha: Float64Array,
  gradient: Float64Array,
  state: AlphaOptimizerState,
  lr: number,
): { alpha: Float64Array; state: AlphaOptimizerState } {
  const beta2 = 0.999;
  const steps = state.steps + 1;
  const square = state.square.map((v, i) => beta2 * v + (1 - beta2) * gradient[i]! ** 2);
  const correct = 1 - beta2 ** steps;
  return { alpha: alpha.map((a, i) => a - (lr * gradient[i]!) / (Math.sqrt(square[i]! / correct) + 1e-8)), state: { square, steps } };
}
