/** @file Accuracy and loss of a network on a set of images. */
import { batches } from "../data/batches.ts";
import type { Batch, DataSplits, ImageSet } from "../data/types.ts";
import type { Graph } from "../graph/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { crossEntropy, klDivergence, softTargets } from "../tensor/losses.ts";
import { createScope, fromArray, type Tensor } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";

export interface Evaluation {
  /** Share of images whose largest logit is the label, 0…1. */
  readonly accuracy: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
  readonly count: number;
  /** Mean KL divergence from `reference`, nats; absent without one. */
  readonly divergence?: number;
}

export interface EvaluateOptions {
  readonly normalisation: DataSplits["normalisation"];
  readonly batchSize?: number;
  /** "eval": running statistics (default); "batch": each batch's own, for networks sampled from a supernet. */
  readonly mode?: "eval" | "batch";
  /** What another network gives for each image of the set, from `outputsOn`. */
  readonly reference?: readonly Float32Array[];
}

function logitsOf(graph: Graph, params: ParameterStore, batch: Batch, mode: "eval" | "batch"): Tensor {
  const x = fromArray([batch.size, ...graph.input.shape], batch.x);
  return run(graph, params, x, { tape: null, mode });
}

/** Loss, hits and divergence from `reference` (0 without one) of one batch, without gradients. */
export function evaluateBatch(
  graph: Graph,
  params: ParameterStore,
  batch: Batch,
  mode: "eval" | "batch",
  reference?: Float32Array,
): { loss: number; correct: number; divergence: number } {
  using _scope = createScope();
  const logits = logitsOf(graph, params, batch, mode);
  const { loss, correct } = crossEntropy(logits, batch.labels, { gradient: false });
  return { loss, correct, divergence: reference ? klDivergence(logits, reference) : 0 };
}

/** Every image once, unaugmented, in order. */
const inOrder = (set: ImageSet, { normalisation, batchSize = 250 }: EvaluateOptions) =>
  batches(set, {
    batchSize: Math.min(batchSize, set.count),
    normalisation,
    augmentation: null,
    rng: createRng(0),
    epoch: 0,
    shuffle: false,
    dropLast: false,
  });

/** Probabilities [N, K] of each batch, for comparing other networks with. */
export function outputsOn(graph: Graph, params: ParameterStore, set: ImageSet, options: EvaluateOptions): Float32Array[] {
  return Array.from(inOrder(set, options), (batch) => {
    using _scope = createScope();
    return softTargets(logitsOf(graph, params, batch, options.mode ?? "eval"));
  });
}

/** Evaluates every image of `set` once, unaugmented, in order. */
export function evaluate(graph: Graph, params: ParameterStore, set: ImageSet, options: EvaluateOptions): Evaluation {
  const { mode = "eval", reference } = options;
  let [loss, correct, count, divergence] = [0, 0, 0, 0];
  let i = 0;
  for (const batch of inOrder(set, options)) {
    const result = evaluateBatch(graph, params, batch, mode, reference?.[i++]);
    loss += result.loss * batch.size;
    correct += result.correct;
    divergence += result.divergence * batch.size;
    count += batch.size;
  }
  return { accuracy: correct / count, loss: loss / count, count, ...(reference ? { divergence: divergence / count } : {}) };
}
