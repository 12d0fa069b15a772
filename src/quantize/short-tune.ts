/** @file A few steps of training between quantising and judging. */
import { batches } from "../data/batches.ts";
import type { Augmentation, DataSplits } from "../data/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { exportWeights, importWeights } from "../nn/parameters.ts";
import { createSgd } from "../train/optimizers.ts";
import { withProjections } from "../train/shadow.ts";
import { gradientStep } from "../train/step.ts";
import { createRng } from "../util/rng.ts";
import type { QuantizedNetwork } from "./network.ts";

export interface ShortTuneOptions {
  readonly data: DataSplits;
  /** Batches trained on, the same for every policy. */
  readonly steps: number;
  readonly batchSize: number;
  /** Constant (HAQ: 1e-3). */
  readonly lr: number;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
}

/** Unless told otherwise; HAQ trains a whole epoch at 1e-3. */
export const SHORT_TUNE = { steps: 20, lr: 0.002 } as const;

const hasOnlyNumbers = (params: ParameterStore): boolean =>
  params.trainable.every((name) => [...exportWeights(params, [name]).values()].every(({ data }) => data.every(Number.isFinite)));

/**
 * Trains weights, ranges and normalisation in place, SGD with momentum 0.9. A network that diverges is put back as it was.
 * Source: HAQ fine-tunes every policy for one epoch at 1e-3.
 */
export function shortTune({ graph, params, quantizers }: QuantizedNetwork, options: ShortTuneOptions): void {
  const { data, steps, batchSize, lr, augmentation, seed } = options;
  if (steps === 0) return;
  const before = exportWeights(params);
  const optimizer = withProjections(createSgd(params, { momentum: 0.9, weightDecay: 4e-5, nesterov: false }), params, quantizers);
  const rng = createRng(seed).fork("short tune");
  let done = 0;
  for (let epoch = 0; done < steps; epoch++) {
    const order = { batchSize, normalisation: data.normalisation, augmentation, rng, epoch, shuffle: true, dropLast: true };
    for (const batch of batches(data.train, order)) {
      gradientStep(graph, params, batch, { rng: rng.fork(`step ${done}`) });
      optimizer.step(lr);
      if (++done === steps) break;
    }
  }
  if (!hasOnlyNumbers(params)) importWeights(params, before);
}
