/** @file ProxylessNAS: weights and architecture parameters of a supernet trained in turn. Paper: Cai et al. 2019, arXiv:1812.00332. */
import { existsSync } from "node:fs";
import { batchCount, batches } from "../data/batches.ts";
import type { Augmentation, Batch, DataSplits } from "../data/types.ts";
import { createParameters } from "../nn/parameters.ts";
import type { Architecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph, createSupernet } from "../space/graphs.ts";
import { readCheckpoint, writeCheckpoint } from "../train/checkpoint.ts";
import { type StepEvent, stepsPerEpoch, trainLoop } from "../train/loop.ts";
import { createSgd } from "../train/optimizers.ts";
import { oneCycle } from "../train/schedules.ts";
import { gradientStep } from "../train/step.ts";
import type { Clock } from "../util/clock.ts";
import { createRng, type Rng } from "../util/rng.ts";
import { drawPath, gradientUpdate, initialAlphas, reinforceUpdate } from "./alphas.ts";
import { drawWithin, rankByAccuracy } from "./candidates.ts";
import { type CostTable, expectedCost } from "./costs.ts";
import { meanEntropy, mostProbable } from "./derive.ts";
import { softmax } from "./gates.ts";
import { alignCandidates, largestPath } from "./initialise.ts";
import type { CostLossOptions } from "./losses.ts";
import { restoreSearch, type SearchState, searchCheckpoint } from "./search-checkpoint.ts";

/** How architecture parameters learn: from two sampled paths, from all candidates, or by policy gradient. */
export type SearchMode = "two" | "full" | "reinforce";

export interface SearchOptions {
  readonly space: SpaceDescription;
  readonly data: DataSplits;
  readonly costs: CostTable;
  /** Reference cost T, in the table's unit. */
  readonly target: number;
  /** Whether the table is in ms (else MACs). */
  readonly isLatency: boolean;
  readonly mode: SearchMode;
  readonly loss: CostLossOptions;
  /** Epochs that train weights alone. */
  readonly warmupEpochs: number;
  readonly searchEpochs: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly architectureLr: number;
  /** Weight steps for each architecture step (default 5). */
  readonly weightStepsPerArchitectureStep?: number;
  /** Networks per policy-gradient update (default 8). */
  readonly networksPerUpdate?: number;
  /** Networks drawn from the learnt probabilities and compared on validation images (default 64; 0: none). */
  readonly candidates?: number;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
  /** Where to keep the state after every epoch. */
  readonly checkpointPath?: string;
  /** Go on from there, if there is one. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly onStep?: (event: StepEvent) => void;
  readonly onEpoch?: (report: SearchReport) => void;
  /** While the networks drawn are compared. */
  readonly onCandidate?: (done: number, total: number) => void;
  readonly clock?: Clock;
}

export interface SearchReport {
  readonly epoch: number;
  readonly epochs: number;
  readonly phase: "warm-up" | "search";
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  /** nats per block; ln(candidates) when undecided. */
  readonly entropy: number;
  readonly expectedCost: number;
  /** Most probable choices at this moment. */
  readonly architecture: Architecture;
  readonly seconds: number;
}

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
