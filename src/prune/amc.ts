/** @file AMC: channel counts found by reinforcement learning. Paper: He et al. 2018, arXiv:1802.03494. */
import { createDdpg, type DdpgOptions } from "../rl/ddpg.ts";
import { createRng } from "../util/rng.ts";
import type { CostOf } from "./costs.ts";
import { createEnvironment, type EnvironmentOptions, groupSizes, macsCost } from "./environment.ts";

/**
 * What an episode is worth. `accuracy`: −error, for a budget that the action bound keeps. `flops`, `params`: −error · ln(MACs or
 * parameters), which trades both without a budget. Paper: section 3.4.
 */
export type RewardName = "accuracy" | "flops" | "params";

export interface Evaluated {
  readonly kept: readonly number[];
  /** 0…1 on validation images, before fine-tuning. */
  readonly accuracy: number;
  readonly reward: number;
}
export interface EpisodeReport extends Evaluated {
  readonly episode: number;
  readonly episodes: number;
  /** Deviation of the noise; null while actions are random. */
  readonly noise: number | null;
  readonly isBest: boolean;
}

export interface AmcOptions extends EnvironmentOptions {
  readonly reward: RewardName;
  readonly params: CostOf;
  readonly episodes: number;
  readonly seed: number;
  readonly agent?: Omit<DdpgOptions, "stateSize" | "rng">;
  /** Accuracy of a policy; asked once for each. */
  readonly evaluate: (kept: readonly number[]) => number;
  /** Accuracies known from a run that was interrupted, by `policyKey`: the run repeats itself without evaluating them again. */
  readonly known?: ReadonlyMap<string, number>;
  readonly onEpisode?: (report: EpisodeReport) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

export const policyKey = (kept: readonly number[]): string => kept.join(",");

/** Searches; the best policy seen, or null when it was cancelled before the first. Same seed, same run. */
export async function searchPolicy(options: AmcOptions): Promise<Evaluated | null> {
  const { prunable, reward, params, episodes, seed, agent: agentOptions = {}, evaluate, known, onEpisode, signal } = options;
  const environment = createEnvironment(options);
  const macs = macsCost(prunable);
  const sizes = groupSizes(prunable);
  const rewards: Record<RewardName, (accuracy: number, kept: readonly number[]) => number> = {
    accuracy: (accuracy) => accuracy - 1,
    flops: (accuracy, kept) => (accuracy - 1) * Math.log(macs(kept)),
    params: (accuracy, kept) => (accuracy - 1) * Math.log(params(kept)),
  };
  const accuracies = new Map(known);
  const capacity = 100 * sizes.length;
  using agent = createDdpg({ capacity, ...agentOptions, stateSize: environment.stateSize, rng: createRng(seed).fork("amc") });
  let best: Evaluated | null = null;
  for (let episode = 0; episode < episodes && !signal?.aborted; episode++) {
    const { kept, steps } = environment.play((state) => agent.explore(state, episode));
    const key = policyKey(kept);
    const accuracy = accuracies.get(key) ?? evaluate(kept);
    accuracies.set(key, accuracy);
    const value = rewards[reward](accuracy, kept);
    agent.finish(steps, value, episode);
    const isBest = best === null || value > best.reward;
    if (isBest) best = { kept, accuracy, reward: value };
    await onEpisode?.({ episode, episodes, kept, accuracy, reward: value, noise: agent.noiseOf(episode), isBest });
  }
  return best;
}
