/** @file ProxylessNAS: weights and architecture parameters of a supernet trained in turn. Paper: Cai et al. 2019, arXiv:1812.00332. */
import { batches } from "../data/batches.ts";
import type { Augmentation, Batch, DataSplits } from "../data/types.ts";
import { createParameters, type ParameterStore } from "../nn/parameters.ts";
import type { Architecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph, createSupernet, type Supernet } from "../space/graphs.ts";
import { evaluateBatch } from "../train/evaluate.ts";
import { type StepEvent, stepsPerEpoch, trainLoop } from "../train/loop.ts";
import { createSgd } from "../train/optimizers.ts";
import { oneCycle } from "../train/schedules.ts";
import { gradientStep } from "../train/step.ts";
import type { Clock } from "../util/clock.ts";
import { createRng, type Rng } from "../util/rng.ts";
import { type AlphaOptimizerState, alphaGradient, alphaStep, initialAlphaState, rescalePair } from "./architecture-gradient.ts";
import { drawWithin, rankByAccuracy } from "./candidates.ts";
import { type CostTable, costOf, expectedCost } from "./costs.ts";
import { meanEntropy, mostProbable } from "./derive.ts";
import { type GateSample, sampleOne, sampleTwo, softmax } from "./gates.ts";
import { alignCandidates, largestPath } from "./initialise.ts";
import { type CostLossOptions, costLoss, LOSS_DEFAULTS, nextMultiplier } from "./losses.ts";
import { gateGradients } from "./paths.ts";
import { logProbabilityGradient, nextBaseline, reward } from "./reinforce.ts";

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

/** Mutable state of the architecture parameters. */
interface Alphas {
  values: Float64Array[];
  states: AlphaOptimizerState[];
  /** Of the policy gradient. */
  baseline: number | null;
  /** Of the loss "constraint". */
  multiplier: number;
}

const DEFAULT_CANDIDATES = 64;

const activePath = (samples: readonly GateSample[]): Architecture => samples.map(({ active }) => active);

/** One gradient step on α from a validation batch (modes two and full). */
function gradientUpdate(supernet: Supernet, params: ParameterStore, batch: Batch, alphas: Alphas, options: SearchOptions, rng: Rng): void {
  const { costs, target, isLatency, loss, mode, architectureLr } = options;
  const sample = mode === "two" ? sampleTwo : sampleOne;
  const samples = alphas.values.map((alpha) => sample(alpha, rng));
  const gates = gateGradients(supernet, params, batch, samples);
  const cost = expectedCost(costs, alphas.values.map(softmax));
  const isConstraint = loss.name === "constraint";
  const total = costLoss(gates.loss, cost, target, isLatency, isConstraint ? { ...loss, lambda: alphas.multiplier } : loss);
  if (isConstraint) alphas.multiplier = nextMultiplier(alphas.multiplier, cost, target);
  for (const [b, { probabilities, active, inactive }] of samples.entries()) {
    const before = alphas.values[b]!;
    const byGate = gates.perBlock[b]!.map((g, c) => total.byCrossEntropy * g + total.byCost * costs.perChoice[b]![c]!);
    const step = alphaStep(before, alphaGradient(byGate, probabilities), alphas.states[b]!, architectureLr);
    const next = mode === "two" ? step.alpha.map((a, i) => (probabilities[i]! > 0 ? a : before[i]!)) : step.alpha;
    alphas.values[b] = mode === "two" ? rescalePair(next, before, [active, ...inactive]) : next;
    alphas.states[b] = step.state;
  }
}

/** One policy-gradient step on α: accuracies of sampled networks on a validation batch. */
function reinforceUpdate(params: ParameterStore, batch: Batch, alphas: Alphas, options: SearchOptions, rng: Rng): void {
  const { costs, target, space, architectureLr, networksPerUpdate = 8 } = options;
  const draws = Array.from({ length: networksPerUpdate }, () => {
    const path = activePath(alphas.values.map((alpha) => sampleOne(alpha, rng)));
    const { correct } = evaluateBatch(architectureGraph(space, path), params, batch, "batch");
    return { path, reward: reward(correct / batch.size, costOf(costs, path), target) };
  });
  const meanReward = draws.reduce((sum, draw) => sum + draw.reward, 0) / draws.length;
  alphas.baseline ??= meanReward;
  for (const [b, before] of alphas.values.entries()) {
    const p = softmax(before);
    const gradient = new Float64Array(p.length);
    for (const draw of draws) {
      const advantage = draw.reward - alphas.baseline;
      for (const [i, g] of logProbabilityGradient(p, draw.path[b]!).entries()) gradient[i]! -= (advantage * g) / draws.length;
    }
    const step = alphaStep(before, gradient, alphas.states[b]!, architectureLr);
    alphas.values[b] = step.alpha;
    alphas.states[b] = step.state;
  }
  alphas.baseline = nextBaseline(alphas.baseline, meanReward, 0.1);
}

/** Validation batches for ever, reshuffled each time round. */
function* endlessBatches(data: DataSplits, batchSize: number, rng: Rng): Generator<Batch, never> {
  const options = { batchSize, normalisation: data.normalisation, augmentation: null, rng, shuffle: true, dropLast: true };
  for (let epoch = 0; ; epoch++) yield* batches(data.validation, { ...options, epoch });
}

/**
 * Searches a space. Weights learn on the training images from one sampled path per step; after the warm-up, every fifth step is
 * followed by a step on α with validation images. The test images are not looked at.
 */
export async function search(options: SearchOptions): Promise<SearchResult> {
  const { space, data, warmupEpochs, searchEpochs, batchSize, seed, mode, costs, weightStepsPerArchitectureStep = 5 } = options;
  const rng = createRng(seed);
  const supernet = createSupernet(space);
  using params = createParameters(supernet.specs, rng.fork("weights"));
  const alphaRng = rng.fork("alpha");
  const values = supernet.blocks.map(({ choices }) => Float64Array.from(choices, () => 1e-3 * alphaRng.normal()));
  const { lambda: multiplier = LOSS_DEFAULTS.lambda } = options.loss;
  const alphas: Alphas = { values, states: values.map((alpha) => initialAlphaState(alpha.length)), baseline: null, multiplier };
  const epochs = warmupEpochs + searchEpochs;
  const perEpoch = stepsPerEpoch(data.train.count, batchSize);
  const validationSize = Math.min(batchSize, data.validation.count);
  const validation = endlessBatches(data, validationSize, rng.fork("validation"));
  const pathRng = rng.fork("paths");
  const gateRng = rng.fork("gates");
  const largest = architectureGraph(space, largestPath(supernet));
  const reports: SearchReport[] = [];

  const { isCancelled } = await trainLoop({
    gradients: (step, batch, stepRng) => {
      const isWarmUp = step < warmupEpochs * perEpoch;
      const graph = isWarmUp ? largest : architectureGraph(space, activePath(alphas.values.map((alpha) => sampleOne(alpha, pathRng))));
      return gradientStep(graph, params, batch, { labelSmoothing: 0.1, rng: stepRng });
    },
    data,
    epochs,
    batchSize,
    optimizer: createSgd(params, { weightDecay: 4e-5 }),
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
