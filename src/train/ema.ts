/** @file Exponential moving average of the weights, which often generalises better than the last step's weights. */
import type { ParameterStore } from "../nn/parameters.ts";
import { valuesOf } from "../tensor/tensor.ts";

export interface WeightAverage {
  /** Moves the average towards the current values. */
  update(): void;
  /** Puts the average in place of the current values until the result is disposed of. */
  applied(): Disposable;
  /** Copies of the averages, keys `ema/parameter`. */
  state(): ReadonlyMap<string, Float32Array>;
  restore(state: ReadonlyMap<string, Float32Array>): void;
}

/**
 * a ← d·a + (1 − d)·w with d = min(decay, (1 + t) / (10 + t)) at update t, so that early averages are not stuck at the start.
 * Covers trainable parameters and running statistics.
 */
export function createWeightAverage(params: ParameterStore, names: readonly string[], decay: number): WeightAverage {
  const averages = new Map(names.map((name) => [name, valuesOf(params.get(name)).slice()]));
  let updates = 0;
  const swap = () => {
    for (const [name, average] of averages) {
      const values = valuesOf(params.get(name));
      const current = values.slice();
      values.set(average);
      average.set(current);
    }
  };
  return {
    update: () => {
      const d = Math.min(decay, (1 + updates) / (10 + updates));
      updates++;
      for (const [name, average] of averages) {
        const values = valuesOf(params.get(name));
        for (let i = 0; i < average.length; i++) average[i] = d * average[i]! + (1 - d) * values[i]!;
      }
    },
    applied: () => {
      swap();
      return { [Symbol.dispose]: swap };
    },
    state: () =>
      new Map([
        ...[...averages].map(([name, values]) => [`ema/${name}`, values.slice()] as const),
        ["ema.updates", Float32Array.of(updates)] as const,
      ]),
    restore: (state) => {
      updates = state.get("ema.updates")?.[0] ?? 0;
      for (const [name, average] of averages) {
        const saved = state.get(`ema/${name}`);
        if (saved) average.set(saved);
      }
    },
  };
}
