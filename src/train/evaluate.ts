/** @file Accuracy and loss of a network on a set of images. */
import { batches } from "../data/batches.ts";
import type { Batch, DataSplits, ImageSet } from "../data/types.ts";
import type { Graph } from "../graph/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { crossEntropy } from "../tensor/losses.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";

export interface Evaluation {
  /** Share of images whose largest logit is the label, 0…1. */
  readonly accuracy: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
  readonly count: number;
}

export interface EvaluateOptions {
  readonly normalisation: DataSplits["normalisation"];
  readonly batchSize?: number;
  /** "eval": running statistics (default); "batch": each batch's own, for networks sampled from a supernet. */
  readonly mode?: "eval" | "batch";
}

/** Loss and hits of one batch, without gradients. */
export function evaluateBatch(
  graph: Graph,
  params: ParameterStore,
  batch: Batch,
  mode: "eval" | "batch",
): { loss: number; correct: number } {
  using _scope = createScope();
  const x = fromArray([batch.size, ...graph.input.shape], batch.x);
  return crossEntropy(run(graph, params, x, { tape: null, mode }), batch.labels, { gradient: false });
}

/** Evaluates every image of `set` once, unaugmented, in order. */
export function evaluate(graph: Graph, params: ParameterStore, set: ImageSet, options: EvaluateOptions): Evaluation {
  const { normalisation, batchSize = 250, mode = "eval" } = options;
  let loss = 0;
  let correct = 0;
  let count = 0;
  const order = {
    batchSize: Math.min(batchSize, set.count),
    normalisation,
    augmentation: null,
    rng: createRng(0),
    epoch: 0,
    shuffle: false,
    dropLast: false,
  };
  for (const batch of batches(set, order)) {
    const result = evaluateBatch(graph, params, batch, mode);
    loss += result.loss * batch.size;
    correct += result.correct;
    count += batch.size;
  }
  return { accuracy: correct / count, loss: loss / count, count };
}
