/** @file How fast this machine trains and evaluates a network: a few steps, timed. */
import { batches } from "../data/batches.ts";
import type { DataSplits } from "../data/types.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters } from "../nn/parameters.ts";
import { evaluateBatch } from "../train/evaluate.ts";
import { createSgd } from "../train/optimizers.ts";
import { gradientStep } from "../train/step.ts";
import type { Clock } from "../util/clock.ts";
import { createRng } from "../util/rng.ts";
import { median } from "../util/statistics.ts";
import type { Pace } from "./effort.ts";

const REPEATS = 5;

/** The first run compiles kernels and is not counted. */
function timed(clock: Clock, work: () => void): number {
  work();
  return median(
    Array.from({ length: REPEATS }, () => {
      const started = clock.nowMs();
      work();
      return clock.nowMs() - started;
    }),
  );
}

/** Times training steps and evaluations of a network with random weights. @throws AppError DATA for fewer images than a batch */
export function measurePace(graph: Graph, data: DataSplits, batchSize: number, clock: Clock): Pace {
  using params = createParameters(paramSpecs(graph), createRng(0));
  const optimizer = createSgd(params, { weightDecay: 0 });
  const { normalisation, train } = data;
  const order = { batchSize, normalisation, augmentation: null, rng: createRng(0), epoch: 0, shuffle: false, dropLast: true };
  const [batch] = batches(train, order);
  const rng = createRng(1);
  const stepMs = timed(clock, () => {
    gradientStep(graph, params, batch!, { rng });
    optimizer.step(1e-6);
  });
  const imageMs = timed(clock, () => evaluateBatch(graph, params, batch!, "batch")) / batchSize;
  return { stepMs, imageMs };
}
