/** @file Training of the once-for-all network, stage by stage, with the full network as teacher. */
import type { Augmentation, Batch, DataSplits } from "../data/types.ts";
import { exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { largestSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import { type Checkpoint, readCheckpoint, writeCheckpoint } from "../train/checkpoint.ts";
import { type EpochEvent, type StepEvent, stepsPerEpoch, trainLoop } from "../train/loop.ts";
import { createSgd } from "../train/optimizers.ts";
import { cosine, oneCycle } from "../train/schedules.ts";
import { backpropagate, type StepResult, type Teacher, teacherTargets } from "../train/step.ts";
import type { Clock } from "../util/clock.ts";
import { finished } from "../util/disposal.ts";
import { createRng, type Rng } from "../util/rng.ts";
import { sortChannels } from "./sort-channels.ts";
import { STAGES, type Stage, type StageName, sampleSubnet } from "./stages.ts";
import { createSupernet, supernetSpecs, viewOf } from "./supernet.ts";

export interface SupernetTraining {
  readonly space: ElasticSpace;
  readonly data: DataSplits;
  readonly stages: readonly Stage[];
  /** Epochs of the first of `rest` when it begins, for a training that has so much time (default: as planned). */
  readonly epochsOf?: (rest: readonly Stage[]) => number;
  readonly batchSize: number;
  readonly weightDecay: number;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
  /** Kept after every epoch: the weights, the teacher's, and where the training stands. */
  readonly checkpointPath: string;
  readonly teacherPath: string;
  /** Go on from the checkpoint. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly onStep?: (stage: StageName, event: StepEvent) => void;
  readonly onEpoch?: (stage: StageName, event: EpochEvent) => void;
  readonly clock?: Clock;
}

/** Gradients of `count` random sub-nets of a stage on one batch, summed, with the teacher's outputs as second targets. */
function supernetStep(
  { space, stage, shared, teacher }: { space: ElasticSpace; stage: Stage; shared: ParameterStore; teacher: Teacher | null },
  batch: Batch,
  rng: Rng,
): StepResult {
  using _scope = createScope();
  const x = fromArray([batch.size, ...space.input], batch.x);
  const soft = teacher ? { soft: teacherTargets(teacher, x, "batch") } : {};
  const results = Array.from({ length: stage.subnetsPerStep }, (_, i) => {
    using _own = createScope();
    const graph = subnetGraph(space, sampleSubnet(space, stage.name, rng.fork(`subnet ${i}`)));
    return backpropagate(graph, (tape) => viewOf(space, shared, graph, tape), x, batch.labels, { mode: "batch", ...soft });
  });
  const mean = (of: (result: StepResult) => number) => results.reduce((sum, result) => sum + of(result), 0) / results.length;
  return { loss: mean(({ loss }) => loss), correct: mean(({ correct }) => correct) };
}

/** The full network, frozen. */
function teacherOf(space: ElasticSpace, weights: Checkpoint["tensors"]): Teacher & Disposable {
  const graph = subnetGraph(space, largestSubnet(space));
  const params = finished(createSupernet(space, createRng(0)), (made) => importWeights(made, weights));
  const view = viewOf(space, params, graph, null);
  return { graph, params: view, [Symbol.dispose]: () => params[Symbol.dispose]() };
}

/**
 * Trains the supernet; the caller disposes of it. Same seed, machine and thread count: same weights, also when it was resumed.
 * @returns whether a signal ended it before the last stage's end
 * @throws AppError BACKEND when the loss is no number, STORE
 */
export async function trainSupernet(options: SupernetTraining): Promise<{ shared: ParameterStore; isCancelled: boolean }> {
  const { space, data, stages, batchSize, weightDecay, augmentation, seed, checkpointPath, teacherPath, signal, clock } = options;
  const begun = options.resume ? readCheckpoint(checkpointPath) : null;
  using made = new DisposableStack();
  const shared = made.use(createSupernet(space, createRng(seed).fork("weights")));
  const done = (isCancelled: boolean) => {
    made.move();
    return { shared, isCancelled };
  };
  if (begun) importWeights(shared, begun.tensors);
  const first = begun ? { stage: Number(begun.metadata.stage), epoch: Number(begun.metadata.epoch) } : { stage: 0, epoch: 0 };
  for (const [s, planned] of stages.entries()) {
    if (s < first.stage) continue;
    const firstEpoch = s === first.stage ? first.epoch : 0;
    const epochs = firstEpoch > 0 ? Number(begun!.metadata.epochs) : (options.epochsOf?.(stages.slice(s)) ?? planned.epochs);
    const stage = { ...planned, epochs };
    if (stage.name === "width" && firstEpoch === 0) sortChannels(space, shared);
    using teacher = stage.name === STAGES[0] ? null : teacherOf(space, readCheckpoint(teacherPath).tensors);
    const optimizer = createSgd(shared, { weightDecay });
    const prefix = "optimizer:";
    if (begun && firstEpoch > 0) {
      const own = [...begun.tensors].filter(([name]) => name.startsWith(prefix));
      optimizer.restore(new Map(own.map(([name, { data: values }]) => [name.slice(prefix.length), values])));
    }
    const steps = stage.epochs * stepsPerEpoch(data.train.count, batchSize);
    const save = (at: number, epoch: number, isOptimizerKept: boolean) => {
      const state = isOptimizerKept ? [...optimizer.state()] : [];
      const tensors = new Map([
        ...exportWeights(shared),
        ...state.map(([name, values]) => [`${prefix}${name}`, { shape: [values.length], data: values }] as const),
      ]);
      writeCheckpoint(checkpointPath, { tensors, metadata: { stage: `${at}`, epoch: `${epoch}`, epochs: `${epochs}` } });
    };
    const { isCancelled } = await trainLoop({
      gradients: (_, batch, rng) => supernetStep({ space, stage, shared, teacher }, batch, rng),
      data,
      epochs: stage.epochs,
      batchSize,
      optimizer,
      schedule: (stage.name === STAGES[0] ? oneCycle : cosine)({ peak: stage.lr, steps }),
      augmentation,
      seed: seed + s,
      firstEpoch,
      ...(signal ? { signal } : {}),
      ...(clock ? { clock } : {}),
      onStep: (event) => options.onStep?.(stage.name, event),
      onEpoch: (event) => {
        const isLast = event.epoch === stage.epochs - 1;
        if (isLast && stage.name === STAGES[0]) writeCheckpoint(teacherPath, { tensors: exportWeights(shared), metadata: {} });
        if (isLast) save(s + 1, 0, false);
        else save(s, event.epoch + 1, true);
        options.onEpoch?.(stage.name, event);
      },
    });
    if (isCancelled) return done(true);
  }
  return done(false);
}

/** A supernet that was trained before. @throws AppError STORE, SHAPE when the file is not that of the space */
export function loadSupernet(space: ElasticSpace, path: string): ParameterStore {
  const { tensors } = readCheckpoint(path);
  return finished(createSupernet(space, createRng(0)), (shared) => importWeights(shared, tensors, supernetSpecs(space).keys()));
}
