/** @file ProxylessNAS: weights and architecture parameters of a supernet trained in turn. Paper: Cai et al. 2019, arXiv:1812.00332. */
import { existsSync } from "node:fs";
import { batchCount, batches } from "../data/batches.ts";
import type { Batch, DataSplits } from "../data/types.ts";
import { createParameters } from "../nn/parameters.ts";
import type { Architecture } from "../space/architecture.ts";
import { architectureGraph, createSupernet } from "../space/graphs.ts";
import { readCheckpoint, writeCheckpoint } from "../train/checkpoint.ts";
import { stepsPerEpoch, trainLoop } from "../train/loop.ts";
import { createSgd } from "../train/optimizers.ts";
import { oneCycle } from "../train/schedules.ts";
import { gradientStep } from "../train/step.ts";
import { createRng, type Rng } from "../util/rng.ts";
import { drawPath, gradientUpdate, initialAlphas, reinforceUpdate } from "./alphas.ts";
import { drawWithin, rankByAccuracy } from "./candidates.ts";
import { expectedCost } from "./costs.ts";
import { meanEntropy, mostProbable } from "./derive.ts";
import { softmax } from "./gates.ts";
import { alignCandidates, largestPath } from "./initialise.ts";
import { restoreSearch, type SearchState, searchCheckpoint } from "./search-checkpoint.ts";
import type { SearchOptions, SearchReport } from "./search-options.ts";

export interface SearchResult {
  /** Probabilities of each block's choices. */
  readonly probabilities: readonly Float64Array[];
  /** Networks within the target, the one of the highest validation accuracy with the shared weights first. */
  readonly candidates: readonly Architecture[];
  readonly reports: readonly SearchReport[];
  readonly isCancelled: boolean;
}

const DEFAULT_CANDIDATES = 64;

/** Validation batches for ever, reshuffled each time round. @param from how many were used before */
function* endlessBatches(data: DataSplits, batchSize: number, rng: Rng, from: number): Generator<Batch, never> {
  const options = { batchSize, normalisation: data.normalisation, augmentation: null, rng, shuffle: true, dropLast: true };
  const perEpoch = batchCount(data.validation.count, options);
  let skipped = from % perEpoch;
  for (let epoch = Math.floor(from / perEpoch); ; epoch++)
    for (const batch of batches(data.validation, { ...options, epoch })) if (skipped-- <= 0) yield batch;
}

/**
 * Searches a space. Weights learn on the training images from one sampled path per step; after the warm-up, every fifth step is
 * followed by a step on α with validation images. The test images are not looked at. Gone on with from a checkpoint it ends as it would have
 * without the interruption, bit for bit.
 */
export async function search(options: SearchOptions): Promise<SearchResult> {
  const {
    space,
    data,
    warmupEpochs,
    searchEpochs,
    batchSize,
    seed,
    mode,
    costs,
    weightStepsPerArchitectureStep = 5,
    checkpointPath,
  } = options;
  const rng = createRng(seed);
  const supernet = createSupernet(space);
  using params = createParameters(supernet.specs, rng.fork("weights"));
  const alphas = initialAlphas(supernet, options.loss, rng.fork("alpha"));
  const epochs = warmupEpochs + searchEpochs;
  const perEpoch = stepsPerEpoch(data.train.count, batchSize);
  const validationSize = Math.min(batchSize, data.validation.count);
  const [pathRng, gateRng] = [rng.fork("paths"), rng.fork("gates")];
  const largest = architectureGraph(space, largestPath(supernet));
  const optimizer = createSgd(params, { weightDecay: 4e-5 });
  const state: SearchState = { params, optimizer, alphas, rngs: { paths: pathRng, gates: gateRng }, usedBatches: 0, reports: [] };
  if (options.resume && checkpointPath && existsSync(checkpointPath)) restoreSearch(state, readCheckpoint(checkpointPath));
  const { reports } = state;
  const validation = endlessBatches(data, validationSize, rng.fork("validation"), state.usedBatches);

  const { isCancelled } = await trainLoop({
    gradients: (step, batch, stepRng) => {
      const isWarmUp = step < warmupEpochs * perEpoch;
      const graph = isWarmUp ? largest : architectureGraph(space, drawPath(alphas, pathRng));
      return gradientStep(graph, params, batch, { labelSmoothing: 0.1, rng: stepRng });
    },
    data,
    epochs,
    batchSize,
    optimizer,
    firstEpoch: reports.length,
    schedule: oneCycle({ peak: options.lr, steps: epochs * perEpoch }),
    augmentation: options.augmentation,
    seed,
    ...(options.signal ? { signal: options.signal } : {}),
    ...(options.clock ? { clock: options.clock } : {}),
    onStep: (event) => {
      // The first search epoch lets the candidates grow apart before they are judged.
      const isSearching = event.epoch > warmupEpochs;
      if (isSearching && event.step % weightStepsPerArchitectureStep === 0) {
        const batch = validation.next().value;
        state.usedBatches++;
        if (mode === "reinforce") reinforceUpdate(params, batch, alphas, options, gateRng);
        else gradientUpdate(supernet, params, batch, alphas, options, gateRng);
      }
      options.onStep?.(event);
    },
    onEpoch: (event) => {
      const probabilities = alphas.values.map(softmax);
      const report: SearchReport = {
        ...event,
        phase: event.epoch < warmupEpochs ? "warm-up" : "search",
        entropy: meanEntropy(probabilities),
        expectedCost: expectedCost(costs, probabilities),
        architecture: mostProbable(probabilities),
      };
      reports.push(report);
      if (event.epoch === warmupEpochs - 1) alignCandidates(supernet, params);
      if (checkpointPath) writeCheckpoint(checkpointPath, searchCheckpoint(state));
      options.onEpoch?.(report);
    },
  });
  const probabilities = alphas.values.map(softmax);
  const count = isCancelled ? 0 : (options.candidates ?? DEFAULT_CANDIDATES);
  const drawn = count === 0 ? [] : drawWithin(probabilities, costs, options.target, count, rng.fork("candidates"));
  const candidates = await rankByAccuracy(drawn, {
    space,
    params,
    data,
    rng: rng.fork("ranking"),
    ...(options.signal ? { signal: options.signal } : {}),
    ...(options.onCandidate ? { onProgress: options.onCandidate } : {}),
  });
  return { probabilities, candidates, reports, isCancelled };
}
