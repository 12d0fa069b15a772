/** @file How fast this machine trains and evaluates a network: a few steps, timed. */
import { batches } from "../data/batches.ts";
import type { DataSplits } from "../data/types.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, exportWeights, importWeights } from "../nn/parameters.ts";
import type { Trained } from "../run/compression-steps.ts";
import { evaluateBatch } from "../train/evaluate.ts";
import { createSgd } from "../train/optimizers.ts";
import { withProjections } from "../train/shadow.ts";
import { gradientStep } from "../train/step.ts";
import type { Clock } from "../util/clock.ts";
import { createRng } from "../util/rng.ts";
import { median } from "../util/statistics.ts";
import type { Pace } from "./effort.ts";

/** The first runs compile kernels and fetch memory, and are not counted. */
const WARMUPS = 3;
const REPEATS = 5;

function timed(clock: Clock, work: () => void): number {
  for (let i = 0; i < WARMUPS; i++) work();
  return median(
    Array.from({ length: REPEATS }, () => {
      const started = clock.nowMs();
      work();
      return clock.nowMs() - started;
    }),
  );
}

/** Times training steps, with all that belongs to them, and evaluations; weights are as before. @throws AppError DATA for fewer images than a batch */
export function paceOf({ graph, params, teacher, projections }: Trained, data: DataSplits, batchSize: number, clock: Clock): Pace {
  const before = exportWeights(params);
  const plain = createSgd(params, { weightDecay: 0 });
  const optimizer = projections ? withProjections(plain, params, projections) : plain;
  const { normalisation, train } = data;
  const order = { batchSize, normalisation, augmentation: null, rng: createRng(0), epoch: 0, shuffle: false, dropLast: true };
  const [batch] = batches(train, order);
  const rng = createRng(1);
  const stepMs = timed(clock, () => {
    gradientStep(graph, params, batch!, { rng, ...(teacher ? { teacher } : {}) });
    optimizer.step(1e-6);
  });
  const imageMs = timed(clock, () => evaluateBatch(graph, params, batch!, "batch")) / batchSize;
  importWeights(params, before);
  return { stepMs, imageMs };
}

/** The same of a network with random weights, on labels alone. @throws AppError DATA for fewer images than a batch */
export function measurePace(graph: Graph, data: DataSplits, batchSize: number, clock: Clock): Pace {
  using params = createParameters(paramSpecs(graph), createRng(0));
  return paceOf({ graph, params, teacher: null }, data, batchSize, clock);
}
