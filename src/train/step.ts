/** @file One step of gradient descent on one batch. */
import type { Batch } from "../data/types.ts";
import type { Graph } from "../graph/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { crossEntropy, softTargets } from "../tensor/losses.ts";
import { createTape, type Tape } from "../tensor/tape.ts";
import { createScope, fromArray, type Tensor } from "../tensor/tensor.ts";
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

/** What the teacher says of a batch; "batch" takes the batch's own statistics. */
export function teacherTargets({ graph, params, ratio = 1, temperature = 1 }: Teacher, x: Tensor, mode: "eval" | "batch" = "eval") {
  return { probabilities: softTargets(run(graph, params, x, { tape: null, mode }), temperature), ratio };
}

export interface BackpropagationOptions {
  /** "train" moves the running statistics, "batch" leaves them. */
  readonly mode: "train" | "batch";
  readonly labelSmoothing?: number;
  readonly soft?: ReturnType<typeof teacherTargets>;
  /** Dropout's randomness, needed in mode "train". */
  readonly rng?: Rng;
}

/** Forward and backward pass: adds to the gradients of the leaves that `params` are or were made of on its tape. */
export function backpropagate(
  graph: Graph,
  paramsOn: (tape: Tape) => ParameterStore,
  x: Tensor,
  labels: Int32Array,
  { mode, labelSmoothing = 0, soft, rng }: BackpropagationOptions,
): StepResult {
  const tape = createTape();
  const logits = run(graph, paramsOn(tape), x, { tape, mode, ...(rng ? { rng } : {}) });
  const { loss, correct, gradient } = crossEntropy(logits, labels, { labelSmoothing, ...(soft ? { soft } : {}) });
  tape.backward(new Map([[logits, gradient!]]));
  return { loss, correct };
}

/** One batch of ordinary training: leaves the gradients in `params`, moves running statistics. */
export function gradientStep(
  graph: Graph,
  params: ParameterStore,
  batch: Batch,
  { labelSmoothing = 0, teacher, rng }: StepOptions,
): StepResult {
  using _scope = createScope();
  const x = fromArray([batch.size, ...graph.input.shape], batch.x);
  const soft = teacher && teacherTargets(teacher, x);
  return backpropagate(graph, () => params, x, batch.labels, { mode: "train", labelSmoothing, rng, ...(soft ? { soft } : {}) });
}
