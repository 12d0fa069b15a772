/** @file How well predictors put sub-nets in order that they have not seen. */
import { type AccuracySample, openPredictor, type PredictorState, type PredictorTraining, trainPredictor } from "../joint/predictor.ts";
import { kendallTau, pairwiseAccuracy } from "../joint/ranking.ts";
import { type Fold, foldsByArchitecture } from "../joint/split-samples.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createRng } from "../util/rng.ts";
import { mean } from "../util/statistics.ts";
import { formatPercent } from "../util/units.ts";

/** How well samples are put in order by predictors that have not seen them. */
export interface Ranking {
  /** Samples that each of those predictors learnt from, on average, and how many were asked about in all. */
  readonly learnt: number;
  readonly heldOut: number;
  /** Mean over the parts that the samples were held out in. */
  readonly pairwiseAccuracy: number;
  readonly kendallTau: number;
}
export interface Prediction {
  /** 0…1. */
  readonly predicted: number;
  readonly measured: number;
}
export interface Learnt {
  /** Of a predictor that learnt from all samples. */
  readonly state: PredictorState;
  readonly folds: readonly Fold<AccuracySample>[];
  readonly ranking: Ranking;
  /** Of every sample that was held out. */
  readonly predictions: readonly Prediction[];
}

/** Samples are held out a fifth at a time. */
const PARTS = 5;

export function predictionsOf(space: ElasticSpace, state: PredictorState, samples: readonly AccuracySample[]): Float32Array {
  using predictor = openPredictor(space, state);
  return predictor.predict(samples.map(({ genome }) => genome));
}

const accuraciesOf = (samples: readonly AccuracySample[]) => samples.map(({ accuracy }) => accuracy);

/** Share of the pairs within parts of the samples that `predict` puts in order, a mean over the parts. */
export const orderWithin = (folds: Learnt["folds"], predict: (samples: readonly AccuracySample[]) => ArrayLike<number>): number =>
  mean(folds.map(({ aside }) => pairwiseAccuracy(predict(aside), accuraciesOf(aside))));

export const describeRanking = ({ heldOut, pairwiseAccuracy: share }: Ranking): string =>
  Number.isNaN(share)
    ? `${heldOut} sub-nets that were held out are all equally accurate`
    : `${formatPercent(share)} of pairs in order, of ${heldOut} sub-nets that were held out`;

/**
 * Trains on all samples, and on all but a part to tell how those of the part are put in order.
 * @param parts of five, how many are held out in turn; each costs one more training
 */
export async function learn(
  samples: readonly AccuracySample[],
  training: Omit<PredictorTraining, "samples">,
  parts = PARTS,
): Promise<Learnt> {
  const { space, seed, signal } = training;
  const folds = foldsByArchitecture(space, samples, PARTS, createRng(seed).fork("held out")).slice(0, parts);
  const asked: { readonly predicted: Float32Array; readonly measured: readonly number[] }[] = [];
  for (const { aside, rest } of folds) {
    if (signal?.aborted) break;
    const state = await trainPredictor({ ...training, samples: rest });
    asked.push({ predicted: predictionsOf(space, state, aside), measured: accuraciesOf(aside) });
  }
  const ranking: Ranking = {
    learnt: Math.round(mean(folds.map(({ rest }) => rest.length))),
    heldOut: folds.reduce((sum, { aside }) => sum + aside.length, 0),
    pairwiseAccuracy: mean(asked.map(({ predicted, measured }) => pairwiseAccuracy(predicted, measured))),
    kendallTau: mean(asked.map(({ predicted, measured }) => kendallTau(predicted, measured))),
  };
  const predictions = asked.flatMap(({ predicted, measured }) => measured.map((one, i) => ({ predicted: predicted[i]!, measured: one })));
  return { state: await trainPredictor({ ...training, samples }), folds, ranking, predictions };
}
