/** @file AMC: how much each layer keeps, found by reinforcement learning. Paper: He et al. 2018, arXiv:1802.03494. */
import { createDdpg, type DdpgOptions } from "../rl/ddpg.ts";
import { createRng } from "../util/rng.ts";
import type { CostOf } from "./costs.ts";

/** An episode: what was decided, and what the agent saw and chose on the way. */
export interface Episode {
  /** Channels of each group, or weights of each layer, that stay. */
  readonly kept: readonly number[];
  readonly steps: readonly { readonly state: readonly number[]; readonly action: number }[];
}
export interface Environment {
  readonly stateSize: number;
  /** Decides everything in turn with `choose`, within the budget. */
  play(choose: (state: readonly number[]) => number): Episode;
}

/**
 * What an episode is worth. `accuracy`: −error, for a budget that the action bound keeps. `flops`, `params`: −error · ln(MACs or
 * parameters), which trades both without a budget. Paper: section 3.4.
 */
export type RewardName = "accuracy" | "flops" | "params";

/** The reward of an accuracy, 0…1, and what is kept. */
export type RewardOf = (accuracy: number, kept: readonly number[]) => number;
export function rewardOf(name: RewardName, macs: CostOf, params: CostOf): RewardOf {
  const rewards: Record<RewardName, RewardOf> = {
    accuracy: (accuracy) => accuracy - 1,
    flops: (accuracy, kept) => (accuracy - 1) * Math.log(macs(kept)),
    params: (accuracy, kept) => (accuracy - 1) * Math.log(params(kept)),
  };
  return rewards[name];
}

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

export interface AmcOptions {
  readonly environment: Environment;
  readonly reward: RewardOf;
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
  const { environment, reward, episodes, seed, agent: agentOptions = {}, evaluate, known, onEpisode, signal } = options;
  const accuracies = new Map(known);
  using agent = createDdpg({ ...agentOptions, stateSize: environment.stateSize, rng: createRng(seed).fork("amc") });
  let best: Evaluated | null = null;
  for (let episode = 0; episode < episodes && !signal?.aborted; episode++) {
    const { kept, steps } = environment.play((state) => agent.explore(state, episode));
    const key = policyKey(kept);
    const accuracy = accuracies.get(key) ?? evaluate(kept);
    accuracies.set(key, accuracy);
    const value = reward(accuracy, kept);
    agent.finish(steps, value, episode);
    const isBest = best === null || value > best.reward;
    if (isBest) best = { kept, accuracy, reward: value };
    await onEpisode?.({ episode, episodes, kept, accuracy, reward: value, noise: agent.noiseOf(episode), isBest });
  }
  return best;
}
