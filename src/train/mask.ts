/** @file Weights that stay zero while others are trained. */
import type { ParameterStore } from "../nn/parameters.ts";
import { valuesOf } from "../tensor/tensor.ts";
import type { Optimizer } from "./optimizers.ts";

/** By parameter: 1 for weights that are trained, 0 for those held at zero. */
export type WeightMasks = ReadonlyMap<string, Uint8Array>;

/** Sets masked weights to zero. */
export function applyMasks(params: ParameterStore, masks: WeightMasks): void {
  for (const [name, mask] of masks) {
    const values = valuesOf(params.get(name));
    for (let i = 0; i < mask.length; i++) if (mask[i] === 0) values[i] = 0;
  }
}

/** An optimizer after whose steps masked weights are zero again. */
export const withMasks = (optimizer: Optimizer, params: ParameterStore, masks: WeightMasks): Optimizer => ({
  ...optimizer,
  step: (lr) => {
    optimizer.step(lr);
    applyMasks(params, masks);
  },
});
