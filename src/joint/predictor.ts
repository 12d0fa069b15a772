/** @file Accuracy predicted from a genome, learnt from samples. Paper: Wang et al. 2020 (APQ), arXiv:2006.08509, section 3.2. */

import type { Weights } from "../graph/types.ts";
import { exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createEncoding, type Encoding } from "../space/encode.ts";
import type { Genome } from "../space/genome.ts";
import { createTape } from "../tensor/tape.ts";
import { createScope, empty, fromArray, plainLayout, valuesOf } from "../tensor/tensor.ts";
import { createAdam } from "../train/optimizers.ts";
import { finished } from "../util/disposal.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createRng } from "../util/rng.ts";
import { mean } from "../util/statistics.ts";
import { createPredictorParameters, type EncodedBatch, predictorForward } from "./predictor-network.ts";
import { splitByArchitecture } from "./split-samples.ts";

/** An accuracy that was measured, 0…1. */
export interface AccuracySample {
  readonly genome: Genome;
  readonly accuracy: number;
}

/** What a predictor has learnt; plain numbers that can be stored. */
export interface PredictorState {
  readonly seesBits: boolean;
  readonly weights: Weights;
  /** Predictions are mean + deviation times what the network gives. */
  readonly mean: number;
  readonly deviation: number;
}

export interface Predictor extends Disposable {
  /** Accuracies of genomes, 0…1. */
  predict(genomes: readonly Genome[]): Float32Array;
}

export interface PredictorTraining {
  readonly space: ElasticSpace;
  readonly samples: readonly AccuracySample[];
  /** Whether it learns from the bits as well. */
  readonly seesBits: boolean;
  /** Start from what a predictor of the architecture alone has learnt. */
  readonly from?: PredictorState;
  readonly seed: number;
  /** Most epochs (default 200, of few samples as many as come to 1,000 steps); training ends earlier when held-out samples are no longer predicted better. */
  readonly epochs?: number;
  /** Ends the training after the epoch that is on. */
  readonly signal?: AbortSignal;
}

const LR = 1e-3;
const BATCH = 32;
const HELD_OUT = 0.15;
const EPOCHS = 200;
/** Few samples may be gone through more often. */
const STEPS = 1000;
/** Share of the epochs without progress on held-out samples after which training ends. */
const PATIENCE = 0.2;

function encodedBatch(encoding: Encoding, genomes: readonly Genome[], seesBits: boolean): EncodedBatch {
  const { size, architectureSize } = encoding;
  const rows = new Float32Array(genomes.length * size);
  for (const [n, genome] of genomes.entries()) encoding.write(genome, rows, n * size);
  const columns = (from: number, to: number) => {
    const part = empty(plainLayout([genomes.length, to - from]));
    const values = valuesOf(part);
    for (let n = 0; n < genomes.length; n++) values.set(rows.subarray(n * size + from, n * size + to), n * (to - from));
    return part;
  };
  return { architecture: columns(0, architectureSize), bits: seesBits ? columns(architectureSize, size) : null };
}

/** Genomes computed at once: enough to keep the engine busy, few enough to stay in its caches. */
const CHUNK = 1024;

function outputs(params: ParameterStore, encoding: Encoding, genomes: readonly Genome[], seesBits: boolean): Float32Array {
  const result = new Float32Array(genomes.length);
  for (let i = 0; i < genomes.length; i += CHUNK) {
    using _scope = createScope();
    result.set(valuesOf(predictorForward(params, encodedBatch(encoding, genomes.slice(i, i + CHUNK), seesBits), null)), i);
  }
  return result;
}

/** One step on the mean squared error of standardised accuracies. */
function step(
  params: ParameterStore,
  encoding: Encoding,
  batch: readonly AccuracySample[],
  { seesBits, mean: m, deviation }: Omit<PredictorState, "weights">,
) {
  using _scope = createScope();
  const tape = createTape();
  const genomes = batch.map(({ genome }) => genome);
  const y = predictorForward(params, encodedBatch(encoding, genomes, seesBits), tape);
  const predicted = valuesOf(y);
  const gradient = batch.map(({ accuracy }, n) => (2 * (predicted[n]! - (accuracy - m) / deviation)) / batch.length);
  tape.backward(new Map([[y, fromArray([batch.length, 1], gradient)]]));
}

const squaredError = (
  predicted: Float32Array,
  samples: readonly AccuracySample[],
  { mean: m, deviation }: Omit<PredictorState, "weights">,
) => mean(samples.map(({ accuracy }, n) => (predicted[n]! - (accuracy - m) / deviation) ** 2));

/**
 * Trains on some of the samples and keeps the weights that predict the others best. Adam at 1e-3 on the mean squared error; the
 * published code has no recipe.
 */
export async function trainPredictor(training: PredictorTraining): Promise<PredictorState> {
  const { space, samples, seesBits, from, seed, signal } = training;
  const encoding = createEncoding(space);
  const rng = createRng(seed);
  using params = createPredictorParameters(encoding, seesBits, rng.fork("weights"));
  if (from)
    importWeights(
      params,
      from.weights,
      [...params.specs.keys()].filter((name) => from.weights.has(name)),
    );
  // bits that nothing is known of add nothing: training starts with what the other predictor says
  if (from && seesBits && !from.seesBits) valuesOf(params.get("bits.weight")).fill(0);
  const accuracies = samples.map(({ accuracy }) => accuracy);
  const average = mean(accuracies);
  const deviation = Math.sqrt(mean(accuracies.map((a) => (a - average) ** 2))) || 1;
  const scale = { seesBits, mean: average, deviation };
  const { aside, rest: train } = splitByArchitecture(space, samples, HELD_OUT, rng.fork("split"));
  const heldOut = aside.length > 0 ? aside : train;
  const { epochs = Math.max(EPOCHS, Math.ceil(STEPS / Math.ceil(train.length / BATCH))) } = training;
  const optimizer = createAdam(params, {});
  const errorOfHeldOut = () =>
    squaredError(
      outputs(
        params,
        encoding,
        heldOut.map(({ genome }) => genome),
        seesBits,
      ),
      heldOut,
      scale,
    );
  let best = { error: errorOfHeldOut(), epoch: -1, weights: exportWeights(params) };
  for (let epoch = 0; epoch < epochs && epoch - best.epoch <= Math.max(1, PATIENCE * epochs); epoch++) {
    const order = rng.fork(`epoch ${epoch}`).shuffle([...train]);
    for (let i = 0; i < order.length; i += BATCH) {
      step(params, encoding, order.slice(i, i + BATCH), scale);
      optimizer.step(LR);
    }
    const error = errorOfHeldOut();
    if (error < best.error) best = { error, epoch, weights: exportWeights(params) };
    // a signal is heard between two turns of the event loop only
    await turnOfOthers();
    if (signal?.aborted) break;
  }
  return { ...scale, weights: best.weights };
}

/** A trained predictor in the engine; the caller disposes of it. */
export function openPredictor(space: ElasticSpace, { seesBits, weights, mean: m, deviation }: PredictorState): Predictor {
  const encoding = createEncoding(space);
  const params = finished(createPredictorParameters(encoding, seesBits, createRng(0)), (made) => importWeights(made, weights));
  return {
    predict: (genomes) => outputs(params, encoding, genomes, seesBits).map((y) => m + deviation * y),
    [Symbol.dispose]: () => params[Symbol.dispose](),
  };
}
