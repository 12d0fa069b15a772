/** @file Binary gates: which of a block's candidates run. Paper: Cai et al. 2019, arXiv:1812.00332, section 3.2. */
import type { Rng } from "../util/rng.ts";

export interface GateSample {
  /** The candidate whose gate is 1. */
  readonly active: number;
  /** The others of the sample whose gates are 0 but take part in the gradient. */
  readonly inactive: readonly number[];
  /** Probabilities within the sample, 0 for candidates outside it; one number per candidate. */
  readonly probabilities: Float64Array;
}

/** pᵢ = exp(αᵢ) / Σⱼ exp(αⱼ). */
export function softmax(alpha: Float64Array): Float64Array {
  const max = alpha.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const exps = alpha.map((a) => Math.exp(a - max));
  const total = exps.reduce((sum, e) => sum + e, 0);
  return exps.map((e) => e / total);
}

/** One candidate ~ Multinomial(p); all others are the inactive ones (eq. 2). */
export function sampleOne(alpha: Float64Array, rng: Rng): GateSample {
  const probabilities = softmax(alpha);
  const active = rng.categorical(probabilities);
  return { active, inactive: [...alpha.keys()].filter((i) => i !== active), probabilities };
}

/**
 * Two distinct candidates ~ Multinomial(p) without replacement, their probabilities renormalised to the pair, one of them active
 * by these: the paper's way to keep two paths in memory whatever the number of candidates. With one candidate, that one.
 */
export function sampleTwo(alpha: Float64Array, rng: Rng): GateSample {
  if (alpha.length === 1) return sampleOne(alpha, rng);
  const p = softmax(alpha);
  const a = rng.categorical(p);
  const b = rng.categorical(p.map((x, i) => (i === a ? 0 : x + Number.MIN_VALUE)));
  const q = softmax(Float64Array.of(alpha[a]!, alpha[b]!));
  const [active, other] = rng.categorical(q) === 0 ? [a, b] : [b, a];
  const probabilities = new Float64Array(alpha.length);
  probabilities[a] = q[0]!;
  probabilities[b] = q[1]!;
  return { active, inactive: [other], probabilities };
}
