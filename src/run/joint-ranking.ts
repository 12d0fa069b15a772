/** @file How well predictors put sub-nets in order that they have not seen. */
import { type AccuracySample, openPredictor, type PredictorState, type PredictorTraining, trainPredictor } from "../joint/predictor.ts";
import { type Order, orderOf, type Predicted } from "../joint/ranking.ts";
import { type Fold, foldsByArchitecture } from "../joint/split-samples.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";

/** How samples are put in order by predictors that have not seen them. */
export interface Ranking extends Order {
  /** Samples that each of those predictors learnt from, on average, and how many were asked about in all. */
  readonly learnt: number;
  readonly heldOut: number;
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

/** What a predictor says of samples, beside what they were measured to be. */
export function askedAbout(space: ElasticSpace, state: PredictorState, samples: readonly AccuracySample[]): Predicted {
  using predictor = openPredictor(space, state);
  return { predicted: predictor.predict(samples.map(({ genome }) => genome)), actual: samples.map(({ accuracy }) => accuracy) };
}

export const describeRanking = ({ heldOut, pairwiseAccuracy: share }: Ranking): string =>
  share === null
    ? `no two of the ${heldOut} sub-nets that were held out differ in accuracy`
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
  const rng = createRng(seed).fork("held out");
  const folds = rng.shuffle(foldsByArchitecture(space, samples, PARTS, rng)).slice(0, parts);
  const asked: Predicted[] = [];
  for (const { aside, rest } of folds) {
    if (signal?.aborted) break;
    asked.push(askedAbout(space, await trainPredictor({ ...training, samples: rest }), aside));
  }
  const count = (of: (fold: Fold<AccuracySample>) => number) => folds.reduce((sum, fold) => sum + of(fold), 0);
  const ranking: Ranking = {
    ...orderOf(asked),
    learnt: Math.round(count(({ rest }) => rest.length) / Math.max(1, folds.length)),
    heldOut: count(({ aside }) => aside.length),
  };
  const predictions = asked.flatMap(({ predicted, actual }) =>
    Array.from(actual, (measured, i): Prediction => ({ predicted: predicted[i]!, measured })),
  );
  return { state: await trainPredictor({ ...training, samples }), folds, ranking, predictions };
}
