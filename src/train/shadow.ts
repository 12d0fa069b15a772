/** @file Weights that the network sees in a reduced form while small updates add up in a full copy behind it. */
import type { ParameterStore } from "../nn/parameters.ts";
import { valuesOf } from "../tensor/tensor.ts";
import type { Optimizer } from "./optimizers.ts";

export interface Projection {
  /** False: the reduced weights themselves are updated, and reduced again. */
  readonly keepsShadow: boolean;
  /** The full copy to begin with (default: the parameter as it is). */
  readonly initial?: Float32Array;
  /** Writes the reduced form of `weights`. */
  project(weights: Float32Array, into: Float32Array): void;
}
/** Prefix of the full copies in an optimizer's state. */
const SLOT = "shadow/";

/** By parameter. */
export type Projections = ReadonlyMap<string, Projection>;

/**
 * An optimizer that updates the full copies by the gradients of the reduced weights (straight-through) and reduces them again after
 * every step. Reduces the parameters as they are now, too. Paper: Courbariaux et al. 2015 (BinaryConnect), arXiv:1511.00363.
 */
export function withProjections(optimizer: Optimizer, params: ParameterStore, projections: Projections): Optimizer {
  const shadows = new Map([...projections].map(([name, { initial }]) => [name, (initial ?? valuesOf(params.get(name))).slice()]));
  const reduce = () => {
    for (const [name, { project, keepsShadow }] of projections) {
      const [shadow, values] = [shadows.get(name)!, valuesOf(params.get(name))];
      project(shadow, values);
      if (!keepsShadow) shadow.set(values);
    }
  };
  reduce();
  return {
    ...optimizer,
    state: () => new Map([...optimizer.state(), ...[...shadows].map(([name, shadow]) => [`${SLOT}${name}`, shadow.slice()] as const)]),
    restore: (state) => {
      optimizer.restore(state);
      for (const [name, shadow] of shadows) shadow.set(state.get(`${SLOT}${name}`) ?? valuesOf(params.get(name)));
      reduce();
    },
    step: (lr) => {
      for (const [name, shadow] of shadows) valuesOf(params.get(name)).set(shadow);
      optimizer.step(lr);
      for (const [name, shadow] of shadows) shadow.set(valuesOf(params.get(name)));
      reduce();
    },
  };
}
