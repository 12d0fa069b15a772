/** @file Gradients of gates: the supernet run on a sampled path, with the other sampled candidates computed beside it. */
import type { Batch } from "../data/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import type { Supernet } from "../space/graphs.ts";
import { crossEntropy } from "../tensor/losses.ts";
import { add } from "../tensor/ops/combine.ts";
import { createTape, type Tape } from "../tensor/tape.ts";
import { createScope, fromArray, type Tensor, valuesInMemory, view } from "../tensor/tensor.ts";
import type { GateSample } from "./gates.ts";

/** The same parameters, seen as constants: an architecture step needs no weight gradients. */
export function frozen(params: ParameterStore): ParameterStore {
  return { ...params, get: (name) => ({ ...params.get(name), requiresGrad: false, gradient: null }) };
}

export interface GateGradients {
  /** Cross-entropy of the active path, nats. */
  readonly loss: number;
  readonly correct: number;
  /** perBlock[b][c] = dL/dg of choice c; 0 outside the sample. */
  readonly perBlock: readonly Float64Array[];
}

/** Σ a·b over all elements; both in one layout, whose padding is zero. */
function innerProduct(a: Tensor, b: Tensor): number {
  const [x, y] = [valuesInMemory(a), valuesInMemory(b)];
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}

/** The same value under a new identity, so that its gradient can be watched. */
function tracked(tape: Tape, x: Tensor): Tensor {
  const y = view(x, x.shape, x.layout, true);
  if (x.requiresGrad) tape.record({ inputs: [x], output: y, saved: [], backward: (dy) => [dy] });
  return y;
}

/**
 * Runs a validation batch with batch statistics and returns dL/dgⱼ = ⟨dL/dm, oⱼ(x)⟩ for the sampled candidates of each block,
 * where m is the block's output and oⱼ(x) the candidate's. Inactive candidates are computed without noting gradients: only their
 * outputs stay in memory. A block that is left out has output 0 and so gate gradient 0. Paper: Cai et al. 2019, section 3.2.
 */
export function gateGradients(supernet: Supernet, params: ParameterStore, batch: Batch, samples: readonly GateSample[]): GateGradients {
  using _scope = createScope();
  const constants = frozen(params);
  const tape = createTape();
  const forward = { tape: null, mode: "batch" } as const;
  let x = run(supernet.stem, constants, fromArray([batch.size, ...supernet.stem.input.shape], batch.x), forward);
  const perBlock = samples.map((sample) => new Float64Array(sample.probabilities.length));
  const watch = new Map<Tensor, (gradient: Tensor) => void>();
  for (const [b, { active, inactive }] of samples.entries()) {
    const candidates = supernet.candidates[b]!;
    const input = x;
    const outputs = inactive.map((c) => ({ c, output: candidates[c] ? run(candidates[c], constants, input, forward) : null }));
    const chosen = candidates[active] ? run(candidates[active], constants, input, { tape, mode: "batch" }) : null;
    const sum = chosen === null ? input : supernet.blocks[b]!.hasResidual ? add(tape, input, chosen) : chosen;
    const m = tracked(tape, sum);
    watch.set(m, (gradient) => {
      for (const { c, output } of [...outputs, { c: active, output: chosen }]) if (output) perBlock[b]![c] = innerProduct(gradient, output);
    });
    x = m;
  }
  const logits = run(supernet.head, constants, x, { tape, mode: "batch" });
  const { loss, correct, gradient } = crossEntropy(logits, batch.labels);
  tape.backward(new Map([[logits, gradient!]]), watch);
  return { loss, correct, perBlock };
}
