/** @file `fettle joint train`: the once-for-all network, samples of its sub-nets, and predictors of their accuracy. */
import { existsSync } from "node:fs";
import { someOf } from "../data/image-set.ts";
import type { Augmentation, DataSplits } from "../data/types.ts";
import { type AccuracyTask, judgeFloat, judgeQuantized } from "../joint/accuracy-tasks.ts";
import { counted, sumOfLayers } from "../joint/costs.ts";
import { drawGenomes, drawQuantizedGenomes } from "../joint/draw-samples.ts";
import { subnetAccuracy } from "../joint/extract.ts";
import { type PredictorState, trainPredictor } from "../joint/predictor.ts";
import { orderOf, type Predicted } from "../joint/ranking.ts";
import { planStages } from "../joint/stages.ts";
import { type SupernetTraining, trainSupernet } from "../joint/train-supernet.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { largestSubnet, smallestSubnet } from "../space/subnet.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { createProgress, type OnProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import { CALIBRATION_BATCHES, calibrationImages } from "./compression-steps.ts";
import { openRunFolder } from "./folder.ts";
import {
  FLOAT_PREDICTOR,
  type JointDescription,
  PREDICTOR,
  SUPERNET,
  TEACHER,
  writeJointDescription,
  writePredictor,
} from "./joint-folder.ts";
import { askedAbout, describeRanking, learn, type Prediction, type Ranking } from "./joint-ranking.ts";
import { measureSamples, type Sampling } from "./joint-samples.ts";
import { clearFolder } from "./replace.ts";
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
  /** Epochs of a stage when it begins, where time is limited (default: as planned). */
  readonly epochsOf?: SupernetTraining["epochsOf"];
  /** Sub-nets judged straight from the supernet, and sub-nets at bits judged after `tuneSteps` batches of training (0: no bits are searched). */
  readonly floatSamples: number;
  readonly quantizedSamples: number;
  /** Judge each sample on so many random validation images (default: all). */
  readonly sampleImages?: number;
  readonly tuneSteps: number;
  readonly tuneLr: number;
  readonly seed: number;
  /** Go on with an interrupted run in `dir`. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /**
   * All samples are held out in turn to tell what the predictors are worth, also with fewer samples and without transfer (default true); else
   * a fifth of them is, once.
   */
  readonly isThorough?: boolean;
  /** From then on no more samples are measured than the predictors need at least. */
  readonly timeUp?: AbortSignal;
  readonly onStart?: () => void;
  readonly onProgress?: OnProgress;
  readonly onNote?: (text: string) => void;
  readonly clock?: Clock;
}

export interface JointTrainResult {
  /** Test accuracy of the largest and of the smallest sub-net, 0…1; null when it was interrupted before. */
  readonly largest: number | null;
  readonly smallest: number | null;
  readonly float: Ranking | null;
  readonly quantized: Ranking | null;
  /** Pairs of the same samples in order by what needs no learning of bits: by BitOps alone, and by the float predictor. */
  readonly byRule: { readonly bitops: number | null; readonly float: number | null } | null;
  /** Of every sample, by a predictor that has not seen it; with bits where they are searched. */
  readonly predictions: readonly Prediction[];
  /** Of the quantisation-aware predictor by how many samples it learnt from, beginning with the float one and without. */
  readonly transfer: readonly { readonly learnt: number; readonly withTransfer: number | null; readonly without: number | null }[];
  readonly isCancelled: boolean;
}

const shareText = (share: number | null): string => (share === null ? "none" : formatPercent(share));

const TRANSFER_SHARES = [0.125, 0.25, 0.5, 1] as const;
const STATISTICS_BATCHES = 4;

/** Settings that may differ when a run is gone on with: other numbers of samples of the same supernet. */
const MAY_DIFFER = ["samples", "quantizedSamples"] as const;

/** Trains the supernet and its predictors; everything is kept in the folder. @throws AppError CONFIG, DATA, STORE, BACKEND */
export async function runJointTrain(options: JointTrainOptions): Promise<JointTrainResult> {
  const { space, data, dir, config, seed, batchSize, signal, onProgress, onNote = () => {}, clock = systemClock } = options;
  if (options.resume) requireSameRun(dir, config, MAY_DIFFER);
  requireBatch(data, batchSize);
  if (!options.resume) clearFolder(dir);
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
  const { sampleImages = data.validation.count } = options;
  const judging = { ...data, validation: someOf(data.validation, sampleImages, createRng(seed).fork("judging")) };
  const task: AccuracyTask = { ...options, data: judging, shared: supernet, images };
  const onTest = (subnet: ReturnType<typeof largestSubnet>) => subnetAccuracy(space, supernet, subnet, { data, images, set: "test" });
  const [largest, smallest] = [onTest(largestSubnet(space)), onTest(smallestSubnet(space))];
  onNote(`supernet: test accuracy ${formatPercent(largest)} of the largest, ${formatPercent(smallest)} of the smallest sub-net`);

  const rng = createRng(seed).fork("samples");
  const macs = sumOfLayers(space, counted.macs);
  const floatTask: Sampling = {
    name: "float",
    genomes: drawGenomes(space, macs, options.floatSamples, rng.fork("float")),
    measure: (genome) => judgeFloat(task, genome).accuracy,
  };
  const floatSamples = await measureSamples(floatTask, folder, options);
  if (signal?.aborted) return { ...none, largest, smallest };
  const { isThorough = true } = options;
  const learning = { space, seed, ...(signal ? { signal } : {}) };
  const parts = isThorough ? undefined : 1;
  const float = await learn(floatSamples, { ...learning, seesBits: false }, parts);
  if (signal?.aborted) return { ...none, largest, smallest };
  writePredictor(folder.path(FLOAT_PREDICTOR), float.state);
  onNote(`float predictor: ${describeRanking(float.ranking)}`);
  const finish = (learnt: Pick<JointTrainResult, "quantized" | "byRule" | "predictions" | "transfer">): JointTrainResult => {
    const results: JointTrainResult = { largest, smallest, float: float.ranking, ...learnt, isCancelled: false };
    writeJointDescription(folder, {
      data: options.source,
      tuning: { steps: options.tuneSteps, lr: options.tuneLr },
      classes: [...data.train.classes],
      normalisation: { mean: [...data.normalisation.mean], std: [...data.normalisation.std] },
      space,
      results,
    });
    folder.finish();
    return results;
  };
  if (options.quantizedSamples === 0) {
    return finish({ quantized: null, byRule: null, predictions: float.predictions, transfer: [] });
  }

  const bitops = sumOfLayers(space, counted.bitops);
  const quantizedTask: Sampling = {
    name: "quantized",
    genomes: drawQuantizedGenomes(space, bitops, options.quantizedSamples, rng.fork("quantized")),
    measure: (genome) => judgeQuantized(task, genome).accuracy,
  };
  const quantizedSamples = rng.fork("order").shuffle(await measureSamples(quantizedTask, folder, options));
  if (signal?.aborted) return { ...none, largest, smallest, float: float.ranking };
  const quantized = await learn(quantizedSamples, { ...learning, seesBits: true, from: float.state }, parts);
  if (signal?.aborted) return { ...none, largest, smallest, float: float.ranking };
  writePredictor(folder.path(PREDICTOR), quantized.state);
  onNote(`quantisation-aware predictor: ${describeRanking(quantized.ranking)}`);

  const { folds } = quantized;
  const shares = isThorough ? TRANSFER_SHARES : [];
  let trainings = 0;
  const learningCurve = createProgress("training predictors", 2 * shares.length * folds.length, clock, onProgress);
  /** With a share of the samples, beginning with the float predictor or from nothing. */
  const orderAfter = async (share: number, from: PredictorState | null): Promise<number | null> => {
    const asked: Predicted[] = [];
    for (const { aside, rest } of folds) {
      const samples = rest.slice(0, Math.max(2, Math.round(share * rest.length)));
      const state = await trainPredictor({ ...learning, samples, seesBits: true, ...(from ? { from } : {}) });
      asked.push(askedAbout(space, state, aside));
      learningCurve(++trainings);
    }
    return orderOf(asked).pairwiseAccuracy;
  };
  const transfer: { learnt: number; withTransfer: number | null; without: number | null }[] = [];
  for (const share of shares) {
    const [withTransfer, without] = [await orderAfter(share, float.state), await orderAfter(share, null)];
    if (signal?.aborted) return { ...none, largest, smallest, float: float.ranking, quantized: quantized.ranking };
    transfer.push({ learnt: Math.round(share * quantized.ranking.learnt), withTransfer, without });
  }
  const byRule = {
    bitops: orderOf(
      folds.map(({ aside }) => ({ predicted: aside.map(({ genome }) => bitops(genome)), actual: aside.map(({ accuracy }) => accuracy) })),
    ).pairwiseAccuracy,
    float: orderOf(folds.map(({ aside }) => askedAbout(space, float.state, aside))).pairwiseAccuracy,
  };
  onNote(`by BitOps alone ${shareText(byRule.bitops)} of these pairs are in order, by the float predictor ${shareText(byRule.float)}`);
  return finish({ quantized: quantized.ranking, byRule, predictions: quantized.predictions, transfer });
}
