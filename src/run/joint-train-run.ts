/** @file `fettle joint train`: the once-for-all network, samples of its sub-nets, and predictors of their accuracy. */
import { existsSync } from "node:fs";
import type { Augmentation, DataSplits } from "../data/types.ts";
import { type AccuracyTask, floatAccuracy, quantizedAccuracy } from "../joint/accuracy-tasks.ts";
import { counted, sumOfLayers } from "../joint/costs.ts";
import { drawGenomes, drawQuantizedGenomes } from "../joint/draw-samples.ts";
import { subnetAccuracy } from "../joint/extract.ts";
import { type AccuracySample, openPredictor, type PredictorState, type PredictorTraining, trainPredictor } from "../joint/predictor.ts";
import { kendallTau, pairwiseAccuracy } from "../joint/ranking.ts";
import { splitByArchitecture } from "../joint/split-samples.ts";
import { planStages } from "../joint/stages.ts";
import { trainSupernet } from "../joint/train-supernet.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import type { Genome } from "../space/genome.ts";
import { largestSubnet, smallestSubnet } from "../space/subnet.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { createProgress, type OnProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import { CALIBRATION_BATCHES, calibrationImages } from "./compression-steps.ts";
import { openRunFolder, type RunFolder } from "./folder.ts";
import {
  FLOAT_PREDICTOR,
  type JointDescription,
  PREDICTOR,
  SUPERNET,
  TEACHER,
  writeJointDescription,
  writePredictor,
} from "./joint-folder.ts";
import { requireSameRun } from "./resume.ts";
import { requireBatch } from "./train-run.ts";

export interface JointTrainOptions {
  readonly space: ElasticSpace;
  readonly data: DataSplits;
  /** How `data` can be loaded again. */
  readonly source: JointDescription["data"];
  readonly dir: string;
  readonly config: unknown;
  /** Over all stages. */
  readonly epochs: number;
  readonly lr: number;
  readonly batchSize: number;
  readonly weightDecay: number;
  readonly augmentation: Augmentation | null;
  /** Sub-nets judged straight from the supernet, and sub-nets at bits judged after `tuneSteps` batches of training. */
  readonly floatSamples: number;
  readonly quantizedSamples: number;
  readonly tuneSteps: number;
  readonly tuneLr: number;
  readonly seed: number;
  /** Go on with an interrupted run in `dir`. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** Also what the quantisation-aware predictor would be worth with fewer samples, and without the float one (default true). */
  readonly transferCurve?: boolean;
  /** From then on no more samples are measured than the predictors need at least. */
  readonly timeUp?: AbortSignal;
  readonly onStart?: () => void;
  readonly onProgress?: OnProgress;
  readonly onNote?: (text: string) => void;
  readonly clock?: Clock;
}

/** How well a predictor puts samples in order that it has not seen. */
export interface Ranking {
  /** Samples it learnt from, and others it was asked about. */
  readonly learnt: number;
  readonly heldOut: number;
  /** How many architectures those others are. */
  readonly architectures: number;
  readonly pairwiseAccuracy: number;
  readonly kendallTau: number;
}
export interface JointTrainResult {
  /** Test accuracy of the largest and of the smallest sub-net, 0…1; null when it was interrupted before. */
  readonly largest: number | null;
  readonly smallest: number | null;
  readonly float: Ranking | null;
  readonly quantized: Ranking | null;
  /** Pairs of the same samples in order by what needs no learning of bits: by BitOps alone, and by the float predictor. */
  readonly byRule: { readonly bitops: number; readonly float: number } | null;
  /** Of the samples with bits that the predictor has not seen, 0…1. */
  readonly predictions: readonly { readonly predicted: number; readonly measured: number }[];
  /** Of the quantisation-aware predictor by how many samples it learnt from, beginning with the float one and without. */
  readonly transfer: readonly { readonly learnt: number; readonly withTransfer: number; readonly without: number }[];
  readonly isCancelled: boolean;
}

const HELD_OUT = 0.2;
const FEWEST_SAMPLES = 20;
const TRANSFER_SHARES = [0.125, 0.25, 0.5, 1] as const;
const STATISTICS_BATCHES = 4;

/** Settings that may differ when a run is gone on with: other numbers of samples of the same supernet. */
const MAY_DIFFER = ["samples", "quantizedSamples"] as const;

/** Everything that was measured, and everything that was not because the run was interrupted. */
interface Sampling {
  readonly name: string;
  readonly genomes: readonly Genome[];
  readonly measure: (genome: Genome) => number;
}

/** Under which the samples of a kind are stored. */
export const sampleTask = (name: string): string => `${name} samples`;

/** Accuracies of genomes, one after the other; those in the journal are not measured again. Fewer when interrupted. */
async function measureSamples(
  { name, genomes, measure }: Sampling,
  folder: RunFolder,
  options: JointTrainOptions,
): Promise<AccuracySample[]> {
  const { resume, signal, timeUp, onProgress, clock = systemClock } = options;
  const journal = folder.journal<{ genome: number[]; accuracy: number }>(sampleTask(name), resume === true);
  // with another count other genomes are drawn: what was measured for the first count stays
  const samples = journal.entries
    .slice(0, genomes.length)
    .map(({ genome, accuracy }): AccuracySample => ({ genome: Uint8Array.from(genome), accuracy }));
  const report = createProgress(`measuring ${name} sub-nets`, genomes.length - samples.length, clock, onProgress);
  const known = samples.length;
  const counts = new Map<string, number>();
  for (const { genome } of samples) counts.set(genome.join(), (counts.get(genome.join()) ?? 0) + 1);
  for (const genome of genomes) {
    const before = counts.get(genome.join()) ?? 0;
    if (before > 0) {
      counts.set(genome.join(), before - 1);
      continue;
    }
    if (samples.length === genomes.length) break;
    if (signal?.aborted || (timeUp?.aborted && samples.length >= FEWEST_SAMPLES)) break;
    const accuracy = measure(genome);
    journal.append({ genome: [...genome], accuracy });
    samples.push({ genome, accuracy });
    report(samples.length - known, `last ${formatPercent(accuracy)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return samples;
}

function predictionsOf(space: ElasticSpace, state: PredictorState, samples: readonly AccuracySample[]): Float32Array {
  using predictor = openPredictor(space, state);
  return predictor.predict(samples.map(({ genome }) => genome));
}

/** Pairs that a predictor puts in order, and Kendall's τ. */
function orderOf(space: ElasticSpace, state: PredictorState, samples: readonly AccuracySample[]) {
  const predicted = predictionsOf(space, state, samples);
  const actual = samples.map(({ accuracy }) => accuracy);
  return { pairwiseAccuracy: pairwiseAccuracy(predicted, actual), kendallTau: kendallTau(predicted, actual) };
}

const describeRanking = ({ heldOut, architectures, pairwiseAccuracy: share }: Ranking): string =>
  Number.isNaN(share)
    ? `${heldOut} sub-nets that it has not seen are all equally accurate`
    : `${formatPercent(share)} of pairs in order, of ${heldOut} sub-nets of ${architectures} architectures that it has not seen`;

/** Trains on most samples and tells how the others are put in order. */
async function learn(samples: readonly AccuracySample[], training: Omit<PredictorTraining, "samples">) {
  const { space, seed } = training;
  const {
    aside: heldOut,
    rest: learnt,
    architecturesAside,
  } = splitByArchitecture(space, samples, HELD_OUT, createRng(seed).fork("held out"));
  const state = await trainPredictor({ ...training, samples: learnt });
  const counts = { learnt: learnt.length, heldOut: heldOut.length, architectures: architecturesAside };
  return { state, learnt, heldOut, ranking: { ...counts, ...orderOf(space, state, heldOut) } };
}

/** Trains the supernet and its predictors; everything is kept in the folder. @throws AppError CONFIG, DATA, STORE, BACKEND */
export async function runJointTrain(options: JointTrainOptions): Promise<JointTrainResult> {
  const { space, data, dir, config, seed, batchSize, signal, onProgress, onNote = () => {}, clock = systemClock } = options;
  if (options.resume) requireSameRun(dir, config, MAY_DIFFER);
  requireBatch(data, batchSize);
  using folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  const checkpointPath = folder.path(SUPERNET);
  const stages = planStages(options.epochs, options.lr);
  let report: ReturnType<typeof createProgress> | null = null;
  let stageOfReport = "";
  const { shared, isCancelled } = await trainSupernet({
    ...options,
    stages,
    checkpointPath,
    teacherPath: folder.path(TEACHER),
    resume: options.resume === true && existsSync(checkpointPath),
    onStep: (stage, { step, steps, loss }) => {
      if (stage !== stageOfReport) report = createProgress(`training the supernet, stage ${stage}`, steps, clock, onProgress);
      stageOfReport = stage;
      report!(step + 1, `loss ${loss.toFixed(3)}`);
    },
    onEpoch: (stage, event) => folder.log({ type: "epoch", stage, ...event }),
  });
  using supernet = shared;
  const none: JointTrainResult = {
    largest: null,
    smallest: null,
    float: null,
    quantized: null,
    byRule: null,
    predictions: [],
    transfer: [],
    isCancelled: true,
  };
  if (isCancelled) return none;

  const images = calibrationImages(data, seed, CALIBRATION_BATCHES).slice(0, STATISTICS_BATCHES);
  const task: AccuracyTask = { ...options, shared: supernet, images };
  const onTest = (subnet: ReturnType<typeof largestSubnet>) => subnetAccuracy(space, supernet, subnet, { data, images, set: "test" });
  const [largest, smallest] = [onTest(largestSubnet(space)), onTest(smallestSubnet(space))];
  onNote(`supernet: test accuracy ${formatPercent(largest)} of the largest, ${formatPercent(smallest)} of the smallest sub-net`);

  const rng = createRng(seed).fork("samples");
  const macs = sumOfLayers(space, counted.macs);
  const floatTask: Sampling = {
    name: "float",
    genomes: drawGenomes(space, macs, options.floatSamples, rng.fork("float")),
    measure: (genome) => floatAccuracy(task, genome),
  };
  const floatSamples = await measureSamples(floatTask, folder, options);
  if (signal?.aborted) return { ...none, largest, smallest };
  const learning = { space, seed, ...(signal ? { signal } : {}) };
  const float = await learn(floatSamples, { ...learning, seesBits: false });
  if (signal?.aborted) return { ...none, largest, smallest };
  writePredictor(folder.path(FLOAT_PREDICTOR), float.state);
  onNote(`float predictor: ${describeRanking(float.ranking)}`);

  const bitops = sumOfLayers(space, counted.bitops);
  const quantizedTask: Sampling = {
    name: "quantized",
    genomes: drawQuantizedGenomes(space, bitops, options.quantizedSamples, rng.fork("quantized")),
    measure: (genome) => quantizedAccuracy(task, genome),
  };
  const quantizedSamples = rng.fork("order").shuffle(await measureSamples(quantizedTask, folder, options));
  if (signal?.aborted) return { ...none, largest, smallest, float: float.ranking };
  const quantized = await learn(quantizedSamples, { ...learning, seesBits: true, from: float.state });
  if (signal?.aborted) return { ...none, largest, smallest, float: float.ranking };
  writePredictor(folder.path(PREDICTOR), quantized.state);
  onNote(`quantisation-aware predictor: ${describeRanking(quantized.ranking)}`);

  const accuracyAfter = async (samples: readonly AccuracySample[], from: PredictorState | null) => {
    const state = await trainPredictor({ ...learning, samples, seesBits: true, ...(from ? { from } : {}) });
    return orderOf(space, state, quantized.heldOut).pairwiseAccuracy;
  };
  const shares = options.transferCurve === false ? [] : TRANSFER_SHARES;
  const learningCurve = createProgress("training predictors", shares.length, clock, onProgress);
  const transfer: { learnt: number; withTransfer: number; without: number }[] = [];
  for (const share of shares) {
    const samples = quantized.learnt.slice(0, Math.max(2, Math.round(share * quantized.learnt.length)));
    const [withTransfer, without] = [await accuracyAfter(samples, float.state), await accuracyAfter(samples, null)];
    if (signal?.aborted) return { ...none, largest, smallest, float: float.ranking, quantized: quantized.ranking };
    transfer.push({ learnt: samples.length, withTransfer, without });
    learningCurve(transfer.length);
  }
  const predicted = predictionsOf(space, quantized.state, quantized.heldOut);
  const measured = quantized.heldOut.map(({ accuracy }) => accuracy);
  const byRule = {
    bitops: pairwiseAccuracy(
      quantized.heldOut.map(({ genome }) => bitops(genome)),
      measured,
    ),
    float: pairwiseAccuracy(predictionsOf(space, float.state, quantized.heldOut), measured),
  };
  onNote(
    `by BitOps alone ${formatPercent(byRule.bitops)} of these pairs are in order, by the float predictor ${formatPercent(byRule.float)}`,
  );
  const result: JointTrainResult = {
    largest,
    smallest,
    float: float.ranking,
    quantized: quantized.ranking,
    byRule,
    predictions: quantized.heldOut.map(({ accuracy }, i) => ({ predicted: predicted[i]!, measured: accuracy })),
    transfer,
    isCancelled: false,
  };
  writeJointDescription(folder, {
    data: options.source,
    classes: [...data.train.classes],
    normalisation: { mean: [...data.normalisation.mean], std: [...data.normalisation.std] },
    space,
    results: result,
  });
  return result;
}
