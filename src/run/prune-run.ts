/** @file The whole way of `fettle prune`: feasibility, search, reconstruction, fine-tuning, deployment, rules of thumb beside it. */
import { AppError } from "../errors.ts";
import { paramSpecs } from "../graph/params.ts";
import { measureTogether } from "../hardware/measure.ts";
import { createParameters, importWeights } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import { exportOnnx } from "../onnx/export.ts";
import { createEnvironment } from "../prune/environment.ts";
import { RULES, type RuleName, rulePolicy } from "../prune/policies.ts";
import { createPruner } from "../prune/pruner.ts";
import { rewardOf } from "../prune/reward.ts";
import { type Judgement, policyKey, searchPolicy } from "../rl/policy-search.ts";
import { finished } from "../util/disposal.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import { accuracyOn, calibrationImages } from "./compression-steps.ts";
import { confirmedOnce } from "./confirm.ts";
import { openEpisodes } from "./episodes.ts";
import { type Accuracies, contest, type Finalist, type Outcome } from "./finalists.ts";
import { openRunFolder } from "./folder.ts";
import { layerCostKind, writeLayerCosts } from "./layer-costs.ts";
import { formatCost } from "./limit-kinds.ts";
import { boundsOf, type PreparedPruning, type PruneOptions, preparePruning, writeMeasured } from "./prepare-pruning.ts";
import { isOfFile } from "./prune-limits.ts";
import { deployPruned, writePolicy } from "./pruned-files.ts";
import { fastEnough, rivals } from "./pruned-policies.ts";
import { clearFolder } from "./replace.ts";
import { requireSameRun } from "./resume.ts";
import { requireBatch } from "./train-run.ts";

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

/** Without a limit the first policies keep the same share of every group. */
const GENTLE = [1, 0.9, 0.8, 0.7, 0.6, 0.5] as const;

/** Actions of the first episodes. */
function startsOf(prepared: PreparedPruning): number[][] {
  const { limits, sizes } = prepared;
  if (limits.length === 0) return GENTLE.map((share) => sizes.map(() => share));
  const bounds = boundsOf(prepared, limits);
  const policies = RULES.map((name) => rulePolicy(name, bounds)).filter((kept) => kept !== null);
  return policies.map((kept) => kept.map((count, t) => count / sizes[t]!));
}

/** Searches and prunes; everything is kept in the run folder. @throws AppError CONFIG, INFEASIBLE, ONNX, STORE */
export async function runPrune(options: PruneOptions): Promise<PruneResult> {
  const { data, recipe, dir, config, threads, signal, onNote = () => {} } = options;
  if (options.resume) requireSameRun(dir, config);
  if (recipe.epochs > 0) requireBatch(data, recipe.batchSize);
  const prepared = await preparePruning(options);
  const { images, model, prunable, sizes, limits, macsOf, paramsOf, costsOf } = prepared;

  if (!options.resume) clearFolder(dir);
  using folder = openRunFolder(dir, config, options.clock);
  options.onStart?.();
  writeMeasured(folder, limits);
  using params = createParameters(paramSpecs(model.graph), createRng(0));
  importWeights(params, model.weights);
  const original = {
    macs: macsOf(sizes),
    params: paramsOf(sizes),
    validation: accuracyOn(model.graph, params, data, "validation"),
    test: accuracyOn(model.graph, params, data, "test"),
  };
  onNote(describe(prepared, original.validation));

  const pruner = createPruner({ model, prunable, params, images, rng: createRng(recipe.seed).fork("pruner") });
  const judge = (kept: readonly number[]): Judgement => {
    pruner.apply(kept);
    return { accuracy: accuracyOn(model.graph, params, data, "validation") };
  };
  const episodes = openEpisodes({
    ...options,
    folder,
    judge,
    costsOf,
    onBest: ({ decisions, accuracy, reward, episode }) =>
      writePolicy(folder, prunable, decisions, { searchAccuracy: accuracy, reward, episode }),
  });
  const reward = rewardOf(options.reward, macsOf, paramsOf, 0.5 / data.validation.count);
  const found = await searchPolicy({
    environment: createEnvironment(boundsOf(prepared, limits)),
    reward,
    episodes: options.episodes,
    seed: recipe.seed,
    starts: startsOf(prepared),
    agent: { warmup: Math.min(options.warmup, Math.ceil(options.episodes / 2)), capacity: 100 * sizes.length },
    known: episodes.known,
    evaluate: episodes.judged,
    onEpisode: episodes.onEpisode,
    ...(signal ? { signal } : {}),
    ...(options.searchUntil ? { until: options.searchUntil } : {}),
  });
  if (!found) throw new AppError("NOT_REACHED", "prune: at least one episode must be completed, got none before the interruption");

  const latency = limits.find(({ kind }) => kind === "latency" && isOfFile(kind, options));
  const confirm = () => fastEnough(options, prepared, { found: found.decisions, latency: latency!, reward, episodes, pruner });
  const chosen = latency ? await confirmedOnce(folder, options, found.decisions, confirm) : found.decisions;
  const searched = (kept: readonly number[]) => ({ searchAccuracy: episodes.accuracyOf(kept) });
  if (policyKey(chosen) !== policyKey(found.decisions)) writePolicy(folder, prunable, chosen, searched(chosen));
  const finalists: Finalist<PolicyResult["name"]>[] = [{ name: "amc", decisions: chosen }];
  if (options.baselines && !signal?.aborted) finalists.push(...rivals(options, prepared, { chosen, latency, judge }));
  pruner.restore();

  const renewal = calibrationImages(data, recipe.seed + 1, RECALIBRATION_BATCHES);
  const resultOf = ({ decisions: kept, ...outcome }: Outcome<PolicyResult["name"]>): PolicyResult => ({
    ...outcome,
    kept,
    costs: costsOf(kept),
    macs: macsOf(kept),
    params: paramsOf(kept),
  });
  const { outcomes, ...end } = await contest(options, {
    finalists,
    teacher: options.teacher ?? { graph: model.graph, params },
    folder,
    open: (kept) => {
      const smaller = pruner.extract(kept);
      const own = finished(createParameters(paramSpecs(smaller.graph), createRng(0)), (made) => {
        importWeights(made, smaller.weights);
        recalibrate(smaller.graph, made, renewal);
      });
      return { graph: smaller.graph, params: own, [Symbol.dispose]: () => own[Symbol.dispose]() };
    },
    deploy: async ({ name, decisions: kept }, network) => {
      await writeLayerCosts(folder, options.device, { graph: model.graph }, { graph: network.graph }, layerCostKind(options.budgets));
      writePolicy(folder, prunable, kept, { policy: name, ...searched(kept) });
      return deployPruned(options, network, { folder, limits, kept });
    },
    onOutcome: (all) => folder.writeJson("policies.json", { original, policies: all.map(resultOf) }),
  });
  const files = [exportOnnx(options.model), folder.path("model.onnx")];
  const [originalMs, prunedMs] = await measureTogether(files, { threads });
  if (!end.isCancelled) folder.finish();
  return {
    ...end,
    original,
    policies: outcomes.map(resultOf),
    constraints: end.card.constraints,
    latencyMs: { original: originalMs!, pruned: prunedMs! },
  };
}

function describe({ model, prunable, step, limits, sizes }: PreparedPruning, validation: number): string {
  const limited = limits.map(({ kind, cost, limit }) => `, limit ${formatCost(kind, limit)} of ${formatCost(kind, cost(sizes))}`);
  return `${model.graph.name}: ${prunable.groups.length} groups of channels in steps of ${step}, validation ${formatPercent(validation)}${limited.join("")}`;
}
