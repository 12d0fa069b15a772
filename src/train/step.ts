/** @file One step of gradient descent on one batch. */
import type { Batch } from "../data/types.ts";
import type { Graph } from "../graph/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { crossEntropy, softTargets } from "../tensor/losses.ts";
import { createTape } from "../tensor/tape.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";

/** A trained network whose softened outputs are learnt beside the labels. Paper: Hinton et al. 2015, arXiv:1503.02531. */
export interface Teacher {
  readonly graph: Graph;
  readonly params: ParameterStore;
  /** Weight of the teacher's target against 1 for the labels' (default 1). */
  readonly ratio?: number;
  /** Divides the teacher's logits (default 1). */
  readonly temperature?: number;
}

export interface StepOptions {
  readonly labelSmoothing?: number;
  readonly teacher?: Teacher;
  /** Dropout's randomness. */
  readonly rng: Rng;
}

export interface StepResult {
  /** Mean loss of the batch, nats. */
  readonly loss: number;
  readonly correct: number;
}

/** Forward and backward pass of a batch: leaves the gradients in `params`, moves running statistics. */
export function gradientStep(
  graph: Graph,
  params: ParameterStore,
  batch: Batch,
  { labelSmoothing = 0, teacher, rng }: StepOptions,
): StepResult {
  using _scope = createScope();
  const x = fromArray([batch.size, ...graph.input.shape], batch.x);
  const soft = teacher && {
    probabilities: softTargets(run(teacher.graph, teacher.params, x, { tape: null, mode: "eval" }), teacher.temperature ?? 1),
    ratio: teacher.ratio ?? 1,
  };
  const tape = createTape();
  const logits = run(graph, params, x, { tape, mode: "train", rng });
  const { loss, correct, gradient } = crossEntropy(logits, batch.labels, { labelSmoothing, ...(soft ? { soft } : {}) });
  tape.backward(new Map([[logits, gradient!]]));
  return { loss, correct };
}
