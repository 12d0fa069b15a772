/** @file Architecture parameters and how they learn: by gradients of gates, or by policy gradient. Paper: Cai et al. 2019, arXiv:1812.00332. */
import type { Batch } from "../data/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import type { Architecture } from "../space/architecture.ts";
import { architectureGraph, type Supernet } from "../space/graphs.ts";
import { evaluateBatch } from "../train/evaluate.ts";
import type { Rng } from "../util/rng.ts";
import { type AlphaOptimizerState, alphaGradient, alphaStep, initialAlphaState, rescalePair } from "./architecture-gradient.ts";
import { costOf, expectedCost } from "./costs.ts";
import { sampleOne, sampleTwo, softmax } from "./gates.ts";
import { costLoss, LOSS_DEFAULTS, nextMultiplier } from "./losses.ts";
import { gateGradients } from "./paths.ts";
import { logProbabilityGradient, nextBaseline, reward } from "./reinforce.ts";
import type { SearchOptions } from "./search-options.ts";

/** Mutable state of the architecture parameters. */
export interface Alphas {
  values: Float64Array[];
  states: AlphaOptimizerState[];
  /** Of the policy gradient. */
  baseline: number | null;
  /** Of the loss "constraint". */
  multiplier: number;
}

/** Nearly alike. */
export function initialAlphas(supernet: Supernet, { lambda = LOSS_DEFAULTS.lambda }: SearchOptions["loss"], rng: Rng): Alphas {
  const values = supernet.blocks.map(({ choices }) => Float64Array.from(choices, () => 1e-3 * rng.normal()));
  return { values, states: values.map((alpha) => initialAlphaState(alpha.length)), baseline: null, multiplier: lambda };
}

/** A network drawn from the probabilities. */
export const drawPath = (alphas: Alphas, rng: Rng): Architecture => alphas.values.map((alpha) => sampleOne(alpha, rng).active);

/** One gradient step on α from a validation batch (modes two and full). */
export function gradientUpdate(
  supernet: Supernet,
  params: ParameterStore,
  batch: Batch,
  alphas: Alphas,
  options: SearchOptions,
  rng: Rng,
): void {
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
export function reinforceUpdate(params: ParameterStore, batch: Batch, alphas: Alphas, options: SearchOptions, rng: Rng): void {
  const { costs, target, space, architectureLr, networksPerUpdate = 8 } = options;
  const draws = Array.from({ length: networksPerUpdate }, () => {
    const path = drawPath(alphas, rng);
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
