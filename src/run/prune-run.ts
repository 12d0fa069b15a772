/** @file The whole way of `fettle prune`: feasibility, search, reconstruction, fine-tuning, deployment, rules of thumb beside it. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { peakActivationBytes } from "../graph/counts.ts";
import { withEndingOf } from "../graph/ending.ts";
import { requireComputable } from "../graph/opaque.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { measureModel, measureTogether } from "../hardware/measure.ts";
import { createParameters, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import { exportOnnx } from "../onnx/export.ts";
import type { Rounding } from "../prune/budget.ts";
import { layerParams, sumOverLayers } from "../prune/costs.ts";
import { analyse, createEnvironment, groupSizes, hasDepthwise, macsCost, memberSteps, type Prunable } from "../prune/environment.ts";
import { channelStep } from "../prune/latency.ts";
import { cheapest, RULES, type RuleName, randomPolicy, rulePolicy } from "../prune/policies.ts";
import { createPruner } from "../prune/pruner.ts";
import { type RewardName, rewardOf } from "../prune/reward.ts";
import { actionsWithin } from "../prune/scaled.ts";
import { type EpisodeReport, type Evaluated, policyKey, searchPolicy } from "../rl/policy-search.ts";
import { systemClock } from "../util/clock.ts";
import { combined } from "../util/combined-limits.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import { accuracyOn, CALIBRATION_BATCHES, type CompressionOptions, calibrationImages, trainable } from "./compression-steps.ts";
import { confirmedOnce, confirmScaled, MEASURED_SHARE } from "./confirm.ts";
import { deploy } from "./deploy.ts";
import { type Accuracies, contest, type Finalist, type Outcome } from "./finalists.ts";
import { openRunFolder, type RunFolder } from "./folder.ts";
import { layerCostKind, writeLayerCosts } from "./layer-costs.ts";
import { constraintOf, formatCost } from "./limit-kinds.ts";
import { isOfFile, type MeasuredModel, type PruneLimit, type PruneLimitOptions, pruneLimits, requireReachable } from "./prune-limits.ts";
import { clearFolder, requireSameRun } from "./resume.ts";

export interface PruneOptions extends CompressionOptions, PruneLimitOptions {
  readonly reward: RewardName;
  /** Multiple of channels, or "device" for the device's own step. */
  readonly step: number | "device";
  readonly lowest: number;
  /** Train rules of thumb and a random policy alike. */
  readonly baselines: boolean;
}

export interface PolicyResult {
  readonly name: "amc" | RuleName | "random";
  readonly kept: readonly number[];
  /** In the unit of each limit, in their order; MACs when nothing was limited. */
  readonly costs: readonly number[];
  readonly macs: number;
  readonly params: number;
  /** 0…1, before and after fine-tuning; null when it was not tuned. */
  readonly validation: number;
  readonly test: number;
  readonly tuned: Accuracies | null;
}

export interface PruneResult {
  readonly card: Card;
  readonly original: { readonly macs: number; readonly params: number; readonly validation: number; readonly test: number };
  readonly policies: readonly PolicyResult[];
  /** The policy whose network is model.onnx: that of the highest validation accuracy. */
  readonly chosen: PolicyResult["name"];
  readonly constraints: readonly Constraint[];
  /** Median latency of the original and the pruned file, measured in turns. */
  readonly latencyMs: { readonly original: number; readonly pruned: number };
  readonly isCancelled: boolean;
}

const RECALIBRATION_BATCHES = 8;
const RANDOM_POLICIES = 10;
/** Of the best policies, so many are scaled down when the file takes longer than was estimated. */
const SCALED_DOWN = 8;

/** Without a limit the first policies keep the same share of every group. */
const GENTLE = [1, 0.9, 0.8, 0.7, 0.6, 0.5] as const;

/** Of the run's folder: what the model took on this CPU, so that a run that is gone on with has the same limits. */
const MEASURED = "costs.json";
const readMeasured = (dir: string): MeasuredModel | null =>
  existsSync(join(dir, MEASURED)) ? JSON.parse(readFileSync(join(dir, MEASURED), "utf8")) : null;

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
  const step = options.step === "device" ? await channelStep(options.device, { hasDepthwise: hasDepthwise(prunable) }) : options.step;
  const rounding: Rounding = { step, steps: memberSteps(prunable, step), lowest: options.lowest, isStrict: true };
  const measuredBefore = options.resume ? readMeasured(dir) : null;
  const least = cheapest({ prunable, rounding });
  const limits = await pruneLimits({ ...options, measured: measuredBefore }, prunable, model, { step, least });
  const sizes = groupSizes(prunable);
  const bounds = { prunable, ...combined(limits, macsCost(prunable)), rounding };
  for (const limit of limits) requireReachable(limit, least);
  if (limits.length > 0 && limits.every(({ cost, limit }) => limit >= cost(sizes))) {
    const [{ kind, cost, limit }] = limits as [PruneLimit];
    const [least, most] = [limit, cost(sizes)].map((value) => formatCost(kind, value));
    throw new AppError(
      "CONFIG",
      `prune: the limit must be below what ${source} has now, ${most}, got ${least} — nothing needs to be removed`,
    );
  }
  const [macs, paramsOf] = [macsCost(prunable), sumOverLayers(prunable.layers, layerParams)];
  const costs = limits.length > 0 ? limits.map(({ cost }) => cost) : [macs];
  const costsOf = (kept: readonly number[]) => costs.map((cost) => cost(kept));

  if (!options.resume) clearFolder(dir);
  using folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  const measured = limits.find((limit) => limit.measured !== undefined);
  if (measured) folder.writeJson(MEASURED, measured.measured);
  using params = createParameters(paramSpecs(model.graph), createRng(0));
  importWeights(params, model.weights);
  const original = {
    macs: macs(sizes),
    params: paramsOf(sizes),
    validation: accuracyOn(model.graph, params, data, "validation"),
    test: accuracyOn(model.graph, params, data, "test"),
  };
  const limitText = limits
    .map(({ kind, cost, limit }) => `, limit ${formatCost(kind, limit)} of ${formatCost(kind, cost(sizes))}`)
    .join("");
  onNote(
    `${model.graph.name}: ${prunable.groups.length} groups of channels in steps of ${step}, validation ${formatPercent(original.validation)}${limitText}`,
  );

  const pruner = createPruner({ model, prunable, params, images, rng: createRng(recipe.seed).fork("pruner") });
  const score = (kept: readonly number[]): number => {
    pruner.apply(kept);
    return accuracyOn(model.graph, params, data, "validation");
  };
  const journal = folder.journal<{ kept: readonly number[]; accuracy: number }>("episodes", options.resume === true);
  const known = new Map(journal.entries.map(({ kept, accuracy }) => [policyKey(kept), accuracy]));
  const report = createProgress("searching", options.episodes, clock, onProgress);
  const reward = rewardOf(options.reward, macs, paramsOf, 0.5 / data.validation.count);
  let best: Evaluated | null = null;
  const onEpisode = async (event: EpisodeReport) => {
    folder.log({ type: "episode", ...event, costs: costsOf(event.decisions) });
    if (event.isBest) best = event;
    if (event.isBest && event.isNew) {
      writePolicy(folder, prunable, event.decisions, { searchAccuracy: event.accuracy, reward: event.reward, episode: event.episode });
    }
    report(event.episode + 1, `best ${formatPercent(best!.accuracy)}, last ${formatPercent(event.accuracy)}`);
    await turnOfOthers();
  };
  const judged = (kept: readonly number[]): number => {
    const before = known.get(policyKey(kept));
    if (before !== undefined) return before;
    const accuracy = score(kept);
    journal.append({ kept, accuracy });
    known.set(policyKey(kept), accuracy);
    return accuracy;
  };
  const rules = limits.length > 0 ? RULES.map((name) => ({ name, kept: rulePolicy(name, bounds) })) : [];
  const found = await searchPolicy({
    environment: createEnvironment(bounds),
    reward,
    episodes: options.episodes,
    seed: recipe.seed,
    starts:
      limits.length > 0
        ? rules.flatMap(({ kept }) => (kept ? [kept.map((count, t) => count / sizes[t]!)] : []))
        : GENTLE.map((share) => sizes.map(() => share)),
    agent: { warmup: Math.min(options.warmup, Math.ceil(options.episodes / 2)), capacity: 100 * sizes.length },
    known,
    evaluate: judged,
    onEpisode,
    ...(signal ? { signal } : {}),
    ...(options.searchUntil ? { until: options.searchUntil } : {}),
  });
  if (!found) throw new AppError("NOT_REACHED", "prune: at least one episode must be completed, got none before the interruption");

  const renewal = calibrationImages(data, recipe.seed + 1, RECALIBRATION_BATCHES);
  const resultOf = ({ decisions: kept, ...outcome }: Outcome<PolicyResult["name"]>): PolicyResult => ({
    ...outcome,
    kept,
    costs: costsOf(kept),
    macs: macs(kept),
    params: paramsOf(kept),
  });
  const evaluated = (decisions: readonly number[], accuracy: number): Evaluated => ({
    decisions,
    accuracy,
    reward: reward(accuracy, decisions),
  });
  const byReward = () =>
    [...known].map(([key, accuracy]) => evaluated(key.split(",").map(Number), accuracy)).sort((a, b) => b.reward - a.reward);
  const latency = limits.find(({ kind }) => kind === "latency" && isOfFile(kind, options));
  const chosen = latency
    ? await confirmedOnce(folder, options, found.decisions, () =>
        confirmScaled({
          first: found.decisions,
          within: async (aim) => {
            const tighter = limits.map((limit) => (limit === latency ? { ...limit, limit: aim } : limit));
            const bounds = { sizes, ...combined(tighter, macs), rounding };
            let best: Evaluated | null = null;
            for (const { decisions } of byReward().slice(0, SCALED_DOWN)) {
              if (signal?.aborted) return null;
              const kept = actionsWithin(
                decisions.map((count, t) => count / sizes[t]!),
                bounds,
              );
              if (!kept) return null;
              const one = evaluated(kept, judged(kept));
              if (!best || one.reward > best.reward) best = one;
              await turnOfOthers();
            }
            return best?.decisions ?? null;
          },
          estimate: latency.cost,
          measure: async (kept) => (await measureModel(exportOnnx(pruner.extract(kept), { batch: 1 }), { threads: options.threads })).p50Ms,
          limit: MEASURED_SHARE * latency.limit,
        }),
      )
    : found.decisions;
  if (policyKey(chosen) !== policyKey(found.decisions))
    writePolicy(folder, prunable, chosen, { searchAccuracy: known.get(policyKey(chosen)) });

  const policies: Finalist<PolicyResult["name"]>[] = [{ name: "amc", decisions: chosen }];
  if (options.baselines && limits.length === 0) onNote("baselines: without a limit there is none that simple rules could meet");
  if (options.baselines && limits.length > 0 && !signal?.aborted) {
    // what the estimates fell short by for the found policy, they do for the rules
    const asConfirmed = latency ? { ...latency, limit: Math.min(latency.limit, latency.cost(chosen)) } : null;
    const confirmed = {
      ...bounds,
      ...combined(
        limits.map((limit) => (limit === latency ? asConfirmed! : limit)),
        macs,
      ),
    };
    for (const { name, kept } of asConfirmed ? RULES.map((rule) => ({ name: rule, kept: rulePolicy(rule, confirmed) })) : rules) {
      if (kept) policies.push({ name, decisions: kept });
      else onNote(`${name}: this rule cannot meet the limit`);
    }
    const rng = createRng(recipe.seed).fork("random policies");
    const drawn = Array.from({ length: RANDOM_POLICIES }, () => randomPolicy(confirmed, rng)).map((kept) => ({
      kept,
      accuracy: score(kept),
    }));
    policies.push({ name: "random", decisions: drawn.reduce((a, b) => (b.accuracy > a.accuracy ? b : a)).kept });
  }
  pruner.restore();

  const { outcomes, ...end } = await contest(options, {
    finalists: policies,
    teacher: { graph: model.graph, params },
    folder,
    open: (kept) => {
      const smaller = pruner.extract(kept);
      const own = createParameters(paramSpecs(smaller.graph), createRng(0));
      importWeights(own, smaller.weights);
      recalibrate(smaller.graph, own, renewal);
      return { graph: smaller.graph, params: own, [Symbol.dispose]: () => own[Symbol.dispose]() };
    },
    deploy: async ({ name, decisions: kept }, network) => {
      await writeLayerCosts(folder, options.device, { graph: model.graph }, { graph: network.graph }, layerCostKind(options.budgets));
      writePolicy(folder, prunable, kept, { policy: name, searchAccuracy: known.get(policyKey(kept)) });
      return deployPruned(options, { ...network, folder, limits, kept });
    },
    onOutcome: (all) => folder.writeJson("policies.json", { original, policies: all.map(resultOf) }),
  });
  const files = [exportOnnx(options.model), folder.path("model.onnx")];
  const [originalMs, prunedMs] = await measureTogether(files, { threads: options.threads });
  return {
    ...end,
    original,
    policies: outcomes.map(resultOf),
    constraints: end.card.constraints,
    latencyMs: { original: originalMs!, pruned: prunedMs! },
  };
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
  readonly limits: readonly PruneLimit[];
  readonly kept: readonly number[];
}

/** Writes model.onnx with the interface of the original (probabilities, channels last) and its card. */
function deployPruned(options: PruneOptions, { graph, params, folder, limits, kept }: Deployed): Promise<Card> {
  const restored = withEndingOf(options.model.graph, graph);
  const constraints = ({ latency, fileBytes }: { latency: { p50Ms: number }; fileBytes: number }): Constraint[] =>
    limits.map(({ kind, limit, cost }) => {
      const isMeasured = isOfFile(kind, options);
      const counted = kind === "peakMemory" ? peakActivationBytes(restored) : cost(kept);
      const value = !isMeasured ? counted : kind === "size" ? fileBytes : latency.p50Ms;
      const obtained = isMeasured ? "measured" : kind === "latency" || kind === "energy" ? "estimated" : "counted";
      return constraintOf(kind, limit, value, obtained);
    });
  const { data, threads, recipe } = options;
  return deploy({ graph: restored, params, data, folder, seed: recipe.seed, threads, constraints });
}
