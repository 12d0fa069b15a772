/** @file Losses on logits. Rows are short, so they are computed in float64 here rather than by the engine. */
import { assertShape } from "../errors.ts";
import { softmaxRow } from "./ops/features.ts";
import { describe, empty, type Tensor, valuesOf } from "./tensor.ts";

/** Of float32: what rounds to none would be infinitely unlikely. */
const LEAST_PROBABILITY = 1e-12;

export interface LossResult {
  /** Mean over the batch, nats. */
  readonly loss: number;
  /** Samples whose largest logit is the label. */
  readonly correct: number;
  /** dL/dlogits [N, K], plain; null unless asked for. */
  readonly gradient: Tensor | null;
}

export interface CrossEntropyOptions {
  /** ε: target = onehot·(1 − ε) + ε/K. */
  readonly labelSmoothing?: number;
  /** Probabilities [N, K] mixed with the labels' target, weight `ratio`: distillation. */
  readonly soft?: { readonly probabilities: Float32Array; readonly ratio: number };
  /** Also compute the gradient (default true). */
  readonly gradient?: boolean;
  /** Scales loss and gradient, e.g. by an outer loss's derivative (default 1). */
  readonly weight?: number;
}

/**
 * L = −(1/N) Σₙ Σₖ t log softmax(z); dL/dz = (softmax(z)·Σₖt − t) / N with t the smoothed label plus ratio · soft targets.
 * @param logits [N, K] plain @param labels N class indices
 * @throws AppError SHAPE when counts differ
 */
export function crossEntropy(logits: Tensor, labels: Int32Array, options: CrossEntropyOptions = {}): LossResult {
  const { labelSmoothing = 0, soft, gradient: wantsGradient = true, weight = 1 } = options;
  const [n, classes] = logits.shape as [number, number];
  assertShape(
    logits.shape.length === 2 && labels.length === n,
    () => `crossEntropy: there must be one label per row of ${describe(logits)}, got ${labels.length}`,
  );
  const values = valuesOf(logits);
  const probabilities = new Float64Array(n * classes);
  const gradient = wantsGradient ? empty(logits.layout) : null;
  const into = gradient ? valuesOf(gradient) : null;
  const total = 1 + (soft?.ratio ?? 0);
  let loss = 0;
  let correct = 0;
  for (let i = 0; i < n; i++) {
    const at = i * classes;
    softmaxRow(values, probabilities, at, classes);
    let best = 0;
    for (let k = 0; k < classes; k++) {
      if (values[at + k]! > values[at + best]!) best = k;
      const target =
        (labels[i] === k ? 1 - labelSmoothing : 0) + labelSmoothing / classes + (soft ? soft.ratio * soft.probabilities[at + k]! : 0);
      const p = probabilities[at + k]!;
      if (target > 0) loss -= target * Math.log(Math.max(p, 1e-300));
      if (into) into[at + k] = (weight * (p * total - target)) / n;
    }
    if (best === labels[i]) correct++;
  }
  return { loss: (weight * loss) / n, correct, gradient };
}

/**
 * Mean over the batch of KL(p ‖ softmax(z)) = Σₖ p ln(p / softmax(z)), nats.
 * @param logits [N, K] plain @param reference p, [N, K]
 */
export function klDivergence(logits: Tensor, reference: Float32Array): number {
  const [n, classes] = logits.shape as [number, number];
  assertShape(
    reference.length === n * classes,
    () => `klDivergence: there must be one probability per logit of ${describe(logits)}, got ${reference.length}`,
  );
  const probabilities = softTargets(logits);
  let sum = 0;
  for (const [i, p] of reference.entries()) if (p > 0) sum += p * Math.log(p / Math.max(probabilities[i]!, LEAST_PROBABILITY));
  return sum / n;
}

/** softmax(logits / temperature) row by row: soft targets of a teacher. */
export function softTargets(logits: Tensor, temperature = 1): Float32Array {
  const [n, classes] = logits.shape as [number, number];
  const scaled = valuesOf(logits).map((z) => z / temperature);
  const result = new Float32Array(n * classes);
  for (let i = 0; i < n; i++) softmaxRow(scaled, result, i * classes, classes);
  return result;
}
