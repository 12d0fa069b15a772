/** @file The whole way of `fettle prune`: feasibility, search, reconstruction, fine-tuning, deployment, rules of thumb beside it. */
import { AppError } from "../errors.ts";
import { requireComputable } from "../graph/opaque.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph, Model } from "../graph/types.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import type { Device } from "../hardware/device.ts";
import { measureTogether } from "../hardware/measure.ts";
import type { Accelerator } from "../hardware/precision.ts";
import { createParameters, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import { exportOnnx } from "../onnx/export.ts";
import { acceleratorCost } from "../prune/accelerator.ts";
import type { Rounding } from "../prune/budget.ts";
import { type CostOf, layerParams, sumOverLayers } from "../prune/costs.ts";
import { analyse, createEnvironment, groupSizes, macsCost, type Prunable } from "../prune/environment.ts";
import { channelStep, latencyCost } from "../prune/latency.ts";
import { cheapest, RULES, type RuleName, randomPolicy, rulePolicy } from "../prune/policies.ts";
import { createPruner } from "../prune/pruner.ts";
import { type RewardName, rewardOf } from "../prune/reward.ts";
import { type EpisodeReport, type Evaluated, policyKey, searchPolicy } from "../rl/policy-search.ts";
import { systemClock } from "../util/clock.ts";
import { createProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { admitting, formatBytes, formatCount, formatEnergy, formatMs, formatPercent, type Quantity } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import {
  accuracyOn,
  CALIBRATION_BATCHES,
  type CompressionOptions,
  calibrationImages,
  fineTune,
  trainable,
  withParameters,
  withSoftmaxOf,
} from "./compression-steps.ts";
import { confirmMeasured } from "./confirm.ts";
import { deploy } from "./deploy.ts";
import { openRunFolder, type RunFolder } from "./folder.ts";
import { openJournal } from "./journal.ts";
import { requireSameRun } from "./resume.ts";

/** What is limited: MACs, parameters, bytes of float32 weights, or milliseconds or millijoules on the device. */
export type PruneBudgetKind = "macs" | "params" | "size" | "latency" | "energy";

export interface PruneOptions extends CompressionOptions {
  readonly device: Device | CpuDevice | Accelerator;
  /** null: the accuracy-guaranteed protocol, whose reward weighs error against cost. */
  readonly budget: { readonly kind: PruneBudgetKind; readonly quantity: Quantity } | null;
  readonly reward: RewardName;
  /** Multiple of channels, or "device" for the device's own step. */
  readonly step: number | "device";
  readonly lowest: number;
  /** Train rules of thumb and a random policy alike. */
  readonly baselines: boolean;
  /** Go on with the search of an interrupted run. */
  readonly resume?: boolean;
}

export interface PolicyResult {
  readonly name: "amc" | RuleName | "random";
  readonly kept: readonly number[];
  readonly macs: number;
  readonly params: number;
  /** 0…1, before fine-tuning on validation and test images, and after it on test images; null when it was not tuned. */
  readonly validation: number;
  readonly test: number;
  readonly tuned: number | null;
}

export interface PruneResult {
  readonly card: Card;
  readonly original: { readonly macs: number; readonly params: number; readonly validation: number; readonly test: number };
  readonly policies: readonly PolicyResult[];
  readonly constraint: Constraint | null;
  /** Median latency of the original and the pruned file, measured in turns. */
  readonly latencyMs: { readonly original: number; readonly pruned: number };
  readonly isCancelled: boolean;
}

const RECALIBRATION_BATCHES = 8;
const RANDOM_POLICIES = 10;

const formatters: Record<PruneBudgetKind, (value: number) => string> = {
  macs: (value) => `${formatCount(value)} MACs`,
  params: (value) => `${formatCount(value)} parameters`,
  size: formatBytes,
  latency: formatMs,
  energy: formatEnergy,
};
const DIMENSIONS = { macs: "count", params: "count", size: "size", latency: "latency", energy: "energy" } as const;
export const formatPruneCost = (kind: PruneBudgetKind, value: number): string => formatters[kind](value);

const isAccelerator = (device: PruneOptions["device"]): device is Accelerator => device.kind === "simulated";

interface Budget {
  readonly kind: PruneBudgetKind;
  readonly limit: number;
  readonly cost: CostOf;
}

/** Costs of the network by policy in the budget's unit; a measured latency is scaled to what the whole model takes. */
async function budgetOf(options: PruneOptions, prunable: Prunable, model: Model, step: number): Promise<Budget | null> {
  const { budget, device } = options;
  if (!budget) return null;
  const params = sumOverLayers(prunable.layers, layerParams);
  const sizes = groupSizes(prunable);
  const { kind, quantity } = budget;
  const costs: Record<PruneBudgetKind, () => Promise<CostOf>> = {
    macs: async () => macsCost(prunable),
    params: async () => params,
    size: async () => (kept) => 4 * params(kept),
    energy: async () => {
      if (!isAccelerator(device))
        throw new AppError(
          "CONFIG",
          `prune: an energy limit must be that of a simulated accelerator, got ${device.name} — see fettle devices`,
        );
      return acceleratorCost(prunable.layers, device, ({ energyMj }) => {
        if (energyMj === null)
          throw new AppError("CONFIG", `device: ${device.name} must have an energy model for an energy limit, got none`);
        return energyMj;
      });
    },
    latency: async () => {
      if (isAccelerator(device)) return acceleratorCost(prunable.layers, device, ({ latencyMs }) => latencyMs);
      const layers = await latencyCost(prunable.layers, device, step);
      if (!("threads" in device)) return (kept) => layers(kept) + device.overheadMs;
      const [whole] = await measureTogether([exportOnnx(model, { batch: 1 })], { threads: device.threads });
      const factor = whole! / (layers(sizes) + device.overheadMs);
      return (kept) => factor * (layers(kept) + device.overheadMs);
    },
  };
  const cost = await costs[kind]();
  return { kind, cost, limit: quantity.kind === "absolute" ? quantity.value : quantity.ratio * cost(sizes) };
}

/** @throws AppError INFEASIBLE before anything is searched */
function requireReachable({ kind, cost, limit }: Budget, least: readonly number[]): void {
  const minimum = cost(least);
  if (minimum <= limit) return;
  const [wanted, nearest] = [formatPruneCost(kind, limit), formatPruneCost(kind, minimum)];
  throw new AppError(
    "INFEASIBLE",
    `prune: ${kind} must be at least ${nearest} for this network, got a limit of ${wanted} — raise it to ${admitting(minimum, DIMENSIONS[kind])}, or allow fewer channels with --lowest`,
  );
}

const isMeasuredLatency = ({ budget, device }: PruneOptions): boolean => budget?.kind === "latency" && device.kind === "measured";

/** Searches and prunes; everything is kept in the run folder. @throws AppError INFEASIBLE, ONNX, STORE */
export async function runPrune(options: PruneOptions): Promise<PruneResult> {
  const { data, source, recipe, dir, config, onNote = () => {}, onProgress, signal, clock = systemClock } = options;
  if (options.resume) requireSameRun(dir, config);
  requireComputable(options.model.graph, source);
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const model = trainable(options.model, images);
  const prunable = analyse(model.graph);
  if (prunable.groups.length === 0)
    throw new AppError("INFEASIBLE", `prune: ${source} must have channels that can be removed, got none — see --list-groups`);
  const step = options.step === "device" ? await channelStep(options.device) : options.step;
  const rounding: Rounding = { step, lowest: options.lowest, isStrict: true };
  const budget = await budgetOf(options, prunable, model, step);
  const sizes = groupSizes(prunable);
  const bounds = { prunable, cost: budget?.cost ?? macsCost(prunable), budget: budget?.limit ?? Number.POSITIVE_INFINITY, rounding };
  if (budget) {
    requireReachable(budget, cheapest(bounds));
    const whole = budget.cost(sizes);
    if (budget.limit >= whole) {
      const [least, most] = [budget.limit, whole].map((value) => formatPruneCost(budget.kind, value));
      throw new AppError(
        "CONFIG",
        `prune: the limit must be below what ${source} has now, ${most}, got ${least} — nothing needs to be removed`,
      );
    }
  }
  const [macs, paramsOf] = [macsCost(prunable), sumOverLayers(prunable.layers, layerParams)];

  const folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  using params = createParameters(paramSpecs(model.graph), createRng(0));
  importWeights(params, model.weights);
  const original = {
    macs: macs(sizes),
    params: paramsOf(sizes),
    validation: accuracyOn(model.graph, params, data, "validation"),
    test: accuracyOn(model.graph, params, data, "test"),
  };
  const limitText = budget
    ? `, limit ${formatPruneCost(budget.kind, budget.limit)} of ${formatPruneCost(budget.kind, budget.cost(sizes))}`
    : "";
  onNote(
    `${model.graph.name}: ${prunable.groups.length} groups of channels in steps of ${step}, validation ${formatPercent(original.validation)}${limitText}`,
  );

  const pruner = createPruner({ model, prunable, params, images, rng: createRng(recipe.seed).fork("pruner") });
  const score = (kept: readonly number[]): number => {
    pruner.apply(kept);
    return accuracyOn(model.graph, params, data, "validation");
  };
  const journal = openJournal<{ kept: readonly number[]; accuracy: number }>(folder.path("episodes.jsonl"), options.resume === true);
  const known = new Map(journal.entries.map(({ kept, accuracy }) => [policyKey(kept), accuracy]));
  const report = createProgress("searching", options.episodes, clock, onProgress);
  const reward = rewardOf(options.reward, macs, paramsOf);
  let best: Evaluated | null = null;
  const onEpisode = async (event: EpisodeReport) => {
    if (event.isBest) {
      best = event;
      writePolicy(folder, prunable, event.decisions, { accuracy: event.accuracy, reward: event.reward, episode: event.episode });
    }
    report(event.episode + 1, `best ${formatPercent(best!.accuracy)}, last ${formatPercent(event.accuracy)}`);
    await new Promise((resolve) => setImmediate(resolve));
  };
  const found = await searchPolicy({
    environment: createEnvironment(bounds),
    reward,
    episodes: options.episodes,
    seed: recipe.seed,
    agent: { warmup: options.warmup, capacity: 100 * sizes.length },
    known,
    evaluate: (kept) => {
      const accuracy = score(kept);
      journal.append({ kept, accuracy });
      known.set(policyKey(kept), accuracy);
      return accuracy;
    },
    onEpisode,
    ...(signal ? { signal } : {}),
  });
  if (!found) throw new AppError("NOT_REACHED", "prune: at least one episode must be completed, got none before the interruption");

  const renewal = calibrationImages(data, recipe.seed + 1, RECALIBRATION_BATCHES);
  pruner.restore();
  const decisionsOf = (key: string) => key.split(",").map(Number);
  const chosen = isMeasuredLatency(options)
    ? await confirmMeasured({
        candidates: [...known]
          .map(([key, accuracy]) => ({ kept: decisionsOf(key), accuracy }))
          .sort((a, b) => reward(b.accuracy, b.kept) - reward(a.accuracy, a.kept))
          .map(({ kept }) => kept),
        estimate: budget!.cost,
        measure: async (kept) =>
          (await measureTogether([exportOnnx(pruner.extract(kept), { batch: 1 })], { threads: options.threads }))[0]!,
        limit: budget!.limit,
      })
    : found.decisions;
  if (chosen !== found.decisions) writePolicy(folder, prunable, chosen, { accuracy: known.get(policyKey(chosen)) });

  const policies: { name: PolicyResult["name"]; kept: readonly number[] }[] = [{ name: "amc", kept: chosen }];
  if (options.baselines && budget && !signal?.aborted) {
    for (const rule of RULES) {
      const kept = rulePolicy(rule, sizes, budget.cost, budget.limit, rounding);
      if (kept) policies.push({ name: rule, kept });
      else onNote(`${rule}: this rule cannot meet the limit`);
    }
    const rng = createRng(recipe.seed).fork("random policies");
    const drawn = Array.from({ length: RANDOM_POLICIES }, () => randomPolicy(bounds, rng)).map((kept) => ({ kept, accuracy: score(kept) }));
    policies.push({ name: "random", kept: drawn.reduce((a, b) => (b.accuracy > a.accuracy ? b : a)).kept });
  }

  const results: PolicyResult[] = [];
  let card: Card | null = null;
  let isCancelled = signal?.aborted === true;
  pruner.restore();
  for (const { name, kept } of policies) {
    const smaller = pruner.extract(kept);
    await withParameters(smaller, async (own) => {
      recalibrate(smaller.graph, own, renewal);
      const before = { validation: accuracyOn(smaller.graph, own, data, "validation"), test: accuracyOn(smaller.graph, own, data, "test") };
      onNote(`${name}: ${formatCount(macs(kept))} MACs, before fine-tuning validation ${formatPercent(before.validation)}`);
      let tuned: number | null = null;
      if (recipe.epochs > 0 && !isCancelled) {
        const outcome = await fineTune(options, {
          graph: smaller.graph,
          params: own,
          teacher: { graph: model.graph, params },
          name,
          folder,
        });
        isCancelled ||= outcome.isCancelled;
        tuned = accuracyOn(smaller.graph, own, data, "test");
        onNote(`${name}: after fine-tuning test ${formatPercent(tuned)}`);
      }
      results.push({ name, kept, macs: macs(kept), params: paramsOf(kept), ...before, tuned });
      folder.writeJson("policies.json", { original, policies: results });
      if (name !== "amc") return;
      card = await deployPruned(options, { graph: smaller.graph, params: own, folder, budget, kept });
    });
  }
  const files = [exportOnnx(options.model, { batch: 1 }), folder.path("model.onnx")];
  const [originalMs, prunedMs] = await measureTogether(files, { threads: options.threads });
  const constraint = card!.constraints[0] ?? null;
  return { card: card!, original, policies: results, constraint, latencyMs: { original: originalMs!, pruned: prunedMs! }, isCancelled };
}

/** policy.json: shares and counts per group, and the input channels of every layer in AMC's own list form. */
function writePolicy(folder: RunFolder, prunable: Prunable, kept: readonly number[], facts: Readonly<Record<string, unknown>>): void {
  const widths = prunable.layers.filter(({ isDepthwise }) => !isDepthwise);
  const amc = widths.map(({ widthIn }) =>
    widthIn.perAtom.reduce((sum, { group, channels }) => sum + channels * kept[group]!, widthIn.fixed),
  );
  const groups = prunable.groups.map(({ name, producers, consumers, atoms }, g) => ({
    name,
    producers,
    consumers,
    channels: atoms.length,
    kept: kept[g]!,
    share: kept[g]! / atoms.length,
  }));
  folder.writeJson("policy.json", { ...facts, groups, amc });
}

interface Deployed {
  readonly graph: Graph;
  readonly params: ParameterStore;
  readonly folder: RunFolder;
  readonly budget: Budget | null;
  readonly kept: readonly number[];
}

/** Writes model.onnx with the interface of the original (probabilities, channels last) and its card. */
function deployPruned(options: PruneOptions, { graph, params, folder, budget, kept }: Deployed): Promise<Card> {
  const restored = withSoftmaxOf(options.model.graph, graph);
  const constraints = ({ latency }: { latency: { p50Ms: number } }): Constraint[] => {
    if (!budget) return [];
    const { kind, limit, cost } = budget;
    const isMeasured = isMeasuredLatency(options);
    const value = isMeasured ? latency.p50Ms : cost(kept);
    const obtained = isMeasured ? "measured" : kind === "latency" || kind === "energy" ? "estimated" : "counted";
    const unit = ({ macs: "MACs", params: "parameters", size: "bytes", latency: "ms", energy: "mJ" } as const)[kind];
    return [{ name: kind, unit, limit, value, obtained, isMet: value <= limit }];
  };
  const { data, threads, recipe } = options;
  return deploy({ graph: restored, params, data, folder, seed: recipe.seed, threads, constraints });
}
