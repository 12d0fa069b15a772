/** @file The network that predicts accuracy from an encoding: three hidden layers, and a branch for bits. Source: APQ's published code. */
import type { ParamSpec } from "../graph/params.ts";
import { createParameters, type ParameterStore } from "../nn/parameters.ts";
import type { Encoding } from "../space/encode.ts";
import { relu } from "../tensor/ops/activation.ts";
import { add } from "../tensor/ops/combine.ts";
import { linear } from "../tensor/ops/features.ts";
import type { Tape } from "../tensor/tape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";

const HIDDEN = 400;

function layer(name: string, inputs: number, outputs: number): ParamSpec[] {
  const common = { node: name, op: "linear", fanIn: inputs, fanOut: outputs, isTrainable: true } as const;
  return [
    { ...common, name: `${name}.weight`, role: "weight", shape: [outputs, inputs] },
    { ...common, name: `${name}.bias`, role: "bias", shape: [outputs] },
  ];
}

/** The branch for bits is there only in a quantisation-aware predictor. */
export function createPredictorParameters({ architectureSize, size }: Encoding, seesBits: boolean, rng: Rng): ParameterStore {
  const specs = [
    ...layer("first", architectureSize, HIDDEN),
    ...(seesBits ? layer("bits", size - architectureSize, HIDDEN) : []),
    ...layer("second", HIDDEN, HIDDEN),
    ...layer("third", HIDDEN, HIDDEN),
    ...layer("last", HIDDEN, 1),
  ];
  return createParameters(new Map(specs.map((spec) => [spec.name, spec])), rng);
}

/** The two parts of an encoding, [N, architectureSize] and [N, size − architectureSize]. */
export interface EncodedBatch {
  readonly architecture: Tensor;
  readonly bits: Tensor | null;
}

/**
 * h₁ = ReLU(W₁·x_arch + b₁), plus W_q·x_bits + b_q, then two layers of ReLU and a linear one; [N, 1].
 * The bits are added behind the first ReLU, so a predictor without them is the start of one with them.
 */
export function predictorForward(params: ParameterStore, { architecture, bits }: EncodedBatch, tape: Tape | null): Tensor {
  const dense = (name: string, x: Tensor) => linear(tape, x, params.get(`${name}.weight`), params.get(`${name}.bias`));
  const active = (x: Tensor) => relu(tape, x, { inPlace: true });
  const first = active(dense("first", architecture));
  const h = bits ? add(tape, first, dense("bits", bits)) : first;
  return dense("last", active(dense("third", active(dense("second", h)))));
}
