/** @file Policies that are fine-tuned at the end of pruning: the one that was found, as fast as measured, and rules of thumb beside it. */
import { leastLatency } from "../hardware/measure.ts";
import { exportOnnx } from "../onnx/export.ts";
import { RULES, type RuleName, randomPolicy, rulePolicy } from "../prune/policies.ts";
import type { Pruner } from "../prune/pruner.ts";
import { actionsWithin } from "../prune/scaled.ts";
import type { Evaluated, Judgement, RewardOf } from "../rl/policy-search.ts";
import { combined } from "../util/combined-limits.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createRng } from "../util/rng.ts";
import { confirmScaled, MEASURED_SHARE } from "./confirm.ts";
import type { Episodes, Judged } from "./episodes.ts";
import type { Finalist } from "./finalists.ts";
import { boundsOf, type PreparedPruning, type PruneOptions } from "./prepare-pruning.ts";
import type { PruneLimit } from "./prune-limits.ts";

const RANDOM_POLICIES = 10;
/** Of the best policies, so many are scaled down when the file takes longer than was estimated; the best alone once the search is out of time. */
const SCALED_DOWN = 8;

interface FastEnough {
  readonly found: readonly number[];
  readonly latency: PruneLimit;
  readonly reward: RewardOf;
  readonly episodes: Episodes;
  readonly pruner: Pruner;
}

/** The found policy, or the best of those scaled down so far that the file is within the latency as measured. */
export function fastEnough(
  { threads, signal, searchUntil }: PruneOptions,
  { limits, sizes, rounding, macsOf }: PreparedPruning,
  { found, latency, reward, episodes, pruner }: FastEnough,
): Promise<readonly number[]> {
  const evaluated = (one: Judged): Evaluated => ({ ...one, reward: reward(one, one.decisions) });
  const within = async (aim: number): Promise<readonly number[] | null> => {
    const tighter = limits.map((limit) => (limit === latency ? { ...limit, limit: aim } : limit));
    const bounds = { sizes, ...combined(tighter, macsOf), rounding };
    const ranked = episodes.all().map(evaluated);
    ranked.sort((a, b) => b.reward - a.reward);
    let best: Evaluated | null = null;
    for (const { decisions } of ranked.slice(0, searchUntil?.aborted ? 1 : SCALED_DOWN)) {
      if (signal?.aborted) return null;
      const shares = decisions.map((count, t) => count / sizes[t]!);
      const kept = actionsWithin(shares, bounds);
      if (!kept) return null;
      const one = evaluated(episodes.judgedBeside(kept));
      if (!best || one.reward > best.reward) best = one;
      await turnOfOthers();
    }
    return best?.decisions ?? null;
  };
  const limit = MEASURED_SHARE * latency.limit;
  return confirmScaled({
    first: found,
    within,
    estimate: latency.cost,
    measure: (kept) => leastLatency(exportOnnx(pruner.extract(kept), { batch: 1 }), limit, { threads }),
    limit,
  });
}

interface Rivalled {
  readonly chosen: readonly number[];
  /** The latency that files are measured for, if one is. */
  readonly latency: PruneLimit | undefined;
  readonly judge: (kept: readonly number[]) => Judgement;
}

/** The rules' policies, and the best of random ones; where files are measured, within what the estimate of the chosen one came to. */
export function rivals(
  { recipe, onNote = () => {} }: PruneOptions,
  prepared: PreparedPruning,
  { chosen, latency, judge }: Rivalled,
): Finalist<RuleName | "random">[] {
  const { limits } = prepared;
  if (limits.length === 0) {
    onNote("baselines: without a limit there is none that simple rules could meet");
    return [];
  }
  // what the estimates fell short by for the found policy, they do for the rules
  const confirmed = limits.map((one) => (one === latency ? { ...one, limit: Math.min(one.limit, one.cost(chosen)) } : one));
  const bounds = boundsOf(prepared, confirmed);
  const policies: Finalist<RuleName | "random">[] = [];
  for (const name of RULES) {
    const kept = rulePolicy(name, bounds);
    if (kept) policies.push({ name, decisions: kept });
    else onNote(`${name}: this rule cannot meet the limit`);
  }
  const rng = createRng(recipe.seed).fork("random policies");
  const drawn = Array.from({ length: RANDOM_POLICIES }, () => randomPolicy(bounds, rng)).map((kept) => ({ kept, ...judge(kept) }));
  return [...policies, { name: "random", decisions: drawn.reduce((a, b) => (b.accuracy > a.accuracy ? b : a)).kept }];
}
