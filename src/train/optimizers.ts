/** @file Optimizers on the engine's parameters: they skip parameters that the last backward pass did not reach. */
import type { ParameterStore } from "../nn/parameters.ts";
import { valuesOf } from "../tensor/tensor.ts";

/** Numbers an optimizer remembers, by slot and parameter name; what a checkpoint stores. */
export type OptimizerState = ReadonlyMap<string, Float32Array>;

export interface Optimizer {
  /** One update with learning rate `lr` from the gradients that are set; clears them. */
  step(lr: number): void;
  /** Copies of the remembered numbers, keys `slot/parameter`. */
  state(): OptimizerState;
  /** Continues from a copied state; unknown keys are ignored, missing ones start at zero. */
  restore(state: OptimizerState): void;
}

export interface SgdOptions {
  /** μ, 0 ≤ μ < 1 (default 0.9). */
  readonly momentum?: number;
  /** λ, added to the gradient as λ·w for weights of convolutions and linear layers only (default 0). */
  readonly weightDecay?: number;
  readonly nesterov?: boolean;
}

export interface AdamOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Added to the gradient (L2), for weights of convolutions and linear layers only (default 0). */
  readonly weightDecay?: number;
}

/** Applies `update` to each parameter whose gradient is set, then clears the gradients. */
function eachGradient(
  params: ParameterStore,
  weightDecay: number,
  update: (name: string, w: Float32Array, g: Float32Array, decay: number) => void,
): void {
  for (const name of params.trainable) {
    const tensor = params.get(name);
    const gradient = tensor.gradient!;
    if (!gradient.isSet) continue;
    const decay = params.specs.get(name)!.role === "weight" ? weightDecay : 0;
    update(name, valuesOf(tensor), valuesOf(gradient.tensor), decay);
    gradient.isSet = false;
  }
}

/** Named arrays that start at zero when first asked for. */
function createSlots() {
  const slots = new Map<string, Float32Array>();
  return {
    get: (key: string, length: number): Float32Array => {
      let slot = slots.get(key);
      if (slot?.length !== length) {
        slot = new Float32Array(length);
        slots.set(key, slot);
      }
      return slot;
    },
    state: (): OptimizerState => new Map([...slots].map(([key, values]) => [key, values.slice()])),
    restore: (state: OptimizerState) => {
      slots.clear();
      for (const [key, values] of state) slots.set(key, values.slice());
    },
  };
}

/**
 * g ← g + λw; v ← μv + g; w ← w − lr·(g + μv) with Nesterov, w − lr·v without.
 * Source: Sutskever et al. 2013 in the form that PyTorch uses.
 */
export function createSgd(params: ParameterStore, { momentum = 0.9, weightDecay = 0, nesterov = true }: SgdOptions = {}): Optimizer {
  const slots = createSlots();
  return {
    step: (lr) =>
      eachGradient(params, weightDecay, (name, w, g, decay) => {
        const v = slots.get(`velocity/${name}`, w.length);
        for (let i = 0; i < w.length; i++) {
          const wi = w[i]!;
          const gi = g[i]! + decay * wi;
          const vi = momentum * v[i]! + gi;
          v[i] = vi;
          w[i] = wi - lr * (nesterov ? gi + momentum * vi : vi);
        }
      }),
    state: slots.state,
    restore: slots.restore,
  };
}

/**
 * m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; w ← w − lr · m̂ / (√v̂ + ε), with bias-corrected m̂, v̂ counted per parameter.
 * Paper: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
 */
export function createAdam(params: ParameterStore, options: AdamOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 } = options;
  const slots = createSlots();
  return {
    step: (lr) =>
      eachGradient(params, weightDecay, (name, w, g, decay) => {
        const m = slots.get(`mean/${name}`, w.length);
        const v = slots.get(`square/${name}`, w.length);
        const count = slots.get(`steps/${name}`, 1);
        const t = count[0]! + 1;
        count[0] = t;
        const correct1 = 1 - beta1 ** t;
        const correct2 = 1 - beta2 ** t;
        for (let i = 0; i < w.length; i++) {
          const gi = g[i]! + decay * w[i]!;
          m[i] = beta1 * m[i]! + (1 - beta1) * gi;
          v[i] = beta2 * v[i]! + (1 - beta2) * gi * gi;
          w[i] = w[i]! - (lr * (m[i]! / correct1)) / (Math.sqrt(v[i]! / correct2) + epsilon);
        }
      }),
    state: slots.state,
    restore: slots.restore,
  };
}
