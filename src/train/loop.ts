/** @file The training loop: epochs of steps, with evaluation, averaging, checkpoints and cancellation. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { createPrefetcher } from "../data/prefetch.ts";
import type { Augmentation, Batch, DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { createRng, type Rng } from "../util/rng.ts";
import type { WeightAverage } from "./ema.ts";
import type { Optimizer } from "./optimizers.ts";
import type { Schedule } from "./schedules.ts";
import type { StepResult } from "./step.ts";

export interface StepEvent {
  /** Counted from 0 over the whole training. */
  readonly step: number;
  readonly steps: number;
  readonly epoch: number;
  readonly loss: number;
  readonly lr: number;
}
export interface EpochEvent {
  readonly epoch: number;
  readonly epochs: number;
  /** Mean over the epoch's batches, nats. */
  readonly trainLoss: number;
  /** 0…1, on augmented images while training. */
  readonly trainAccuracy: number;
  readonly seconds: number;
}

export interface TrainingOptions {
  /** Leaves the gradients of a batch in the parameters that the optimizer updates. */
  readonly gradients: (step: number, batch: Batch, rng: Rng) => StepResult;
  readonly data: DataSplits;
  readonly epochs: number;
  readonly batchSize: number;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
  readonly average?: WeightAverage;
  /** First epoch to run, when going on from a checkpoint (default 0). */
  readonly firstEpoch?: number;
  /** Ends the training after the current step. */
  readonly signal?: AbortSignal;
  readonly onStep?: (event: StepEvent) => void | Promise<void>;
  readonly onEpoch?: (event: EpochEvent) => void | Promise<void>;
  readonly clock?: Clock;
}

/** Steps of one epoch: whole batches only. */
export function stepsPerEpoch(images: number, batchSize: number): number {
  return Math.floor(images / batchSize);
}

/**
 * Trains in place. Deterministic for a seed, thread count and machine.
 *
 * @returns how many epochs were completed; fewer than asked for when `signal` ended it
 * @throws AppError DIVERGED when the loss is no longer a number
 */
export async function trainLoop(options: TrainingOptions): Promise<{ completedEpochs: number; isCancelled: boolean }> {
  const { data, epochs, batchSize, optimizer, schedule, seed, signal, clock = systemClock } = options;
  const rng = createRng(seed);
  const perEpoch = stepsPerEpoch(data.train.count, batchSize);
  const steps = perEpoch * epochs;
  await using prefetcher = createPrefetcher(data.train, {
    batchSize,
    normalisation: data.normalisation,
    augmentation: options.augmentation,
    seed,
    shuffle: true,
    dropLast: true,
  });
  for (let epoch = options.firstEpoch ?? 0; epoch < epochs; epoch++) {
    const started = clock.nowMs();
    let [lossSum, correct, images, batchIndex] = [0, 0, 0, 0];
    for await (const batch of prefetcher.epoch(epoch)) {
      const step = epoch * perEpoch + batchIndex++;
      const result = options.gradients(step, batch, rng.fork(`step ${step}`));
      if (!Number.isFinite(result.loss)) {
        throw new AppError(
          "DIVERGED",
          `training: the loss must be a number, got ${result.loss} in step ${step} — use a lower learning rate`,
        );
      }
      const lr = schedule(step);
      optimizer.step(lr);
      options.average?.update();
      lossSum += result.loss * batch.size;
      correct += result.correct;
      images += batch.size;
      await options.onStep?.({ step, steps, epoch, loss: result.loss, lr });
      await nextTurn();
      if (signal?.aborted) return { completedEpochs: epoch, isCancelled: true };
    }
    const seconds = (clock.nowMs() - started) / 1000;
    await options.onEpoch?.({ epoch, epochs, trainLoss: lossSum / images, trainAccuracy: correct / images, seconds });
  }
  return { completedEpochs: epochs, isCancelled: false };
}
