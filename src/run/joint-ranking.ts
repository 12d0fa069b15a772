/** @file How well predictors put sub-nets in order that they have not seen. */
import { type AccuracySample, openPredictor, type PredictorState, type PredictorTraining, trainPredictor } from "../joint/predictor.ts";
import { kendallTau, pairwiseAccuracy } from "../joint/ranking.ts";
import { splitByArchitecture } from "../joint/split-samples.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";

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

const HELD_OUT = 0.2;

export function predictionsOf(space: ElasticSpace, state: PredictorState, samples: readonly AccuracySample[]): Float32Array {
  using predictor = openPredictor(space, state);
  return predictor.predict(samples.map(({ genome }) => genome));
}

/** Pairs that a predictor puts in order, and Kendall's τ. */
export function orderOf(space: ElasticSpace, state: PredictorState, samples: readonly AccuracySample[]) {
  const predicted = predictionsOf(space, state, samples);
  const actual = samples.map(({ accuracy }) => accuracy);
  return { pairwiseAccuracy: pairwiseAccuracy(predicted, actual), kendallTau: kendallTau(predicted, actual) };
}

export const describeRanking = ({ heldOut, architectures, pairwiseAccuracy: share }: Ranking): string =>
  Number.isNaN(share)
    ? `${heldOut} sub-nets that it has not seen are all equally accurate`
    : `${formatPercent(share)} of pairs in order, of ${heldOut} sub-nets of ${architectures} architectures that it has not seen`;

/** Trains on most samples and tells how the others are put in order. */
export async function learn(samples: readonly AccuracySample[], training: Omit<PredictorTraining, "samples">) {
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

/** Of the samples that were held out. */
export function predictionPairs(
  space: ElasticSpace,
  { state, heldOut }: Awaited<ReturnType<typeof learn>>,
): { readonly predicted: number; readonly measured: number }[] {
  const predicted = predictionsOf(space, state, heldOut);
  return heldOut.map(({ accuracy }, i) => ({ predicted: predicted[i]!, measured: accuracy }));
}
