/**
 * @file Search for the best policy of an environment that is decided step by step and judged at the end: the protocol that AMC and
 * HAQ share. Papers: He et al. 2018, arXiv:1802.03494, section 3; Wang et al. 2019, arXiv:1811.08886, section 3.
 */
import { createRng } from "../util/rng.ts";
import { createDdpg, type DdpgOptions, type EpisodeStep } from "./ddpg.ts";

/** An episode: what was decided, and what the agent saw and chose on the way. */
export interface Episode {
  /** In the environment's own terms, for example channels that stay, or bits. */
  readonly decisions: readonly number[];
  readonly steps: readonly EpisodeStep[];
}
export interface Environment {
  readonly stateSize: number;
  /** Decides everything in turn with `choose`, within the budget. */
  play(choose: (state: readonly number[]) => number): Episode;
}

/** The reward of an accuracy, 0…1, and what was decided. */
export type RewardOf = (accuracy: number, decisions: readonly number[]) => number;

export interface Evaluated {
  readonly decisions: readonly number[];
  /** 0…1 on validation images. */
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

export interface PolicySearchOptions {
  readonly environment: Environment;
  readonly reward: RewardOf;
  readonly episodes: number;
  readonly seed: number;
  readonly agent?: Omit<DdpgOptions, "stateSize" | "rng">;
  /** Accuracy of a policy; asked once for each. */
  readonly evaluate: (decisions: readonly number[]) => number | Promise<number>;
  /** Accuracies known from a run that was interrupted, by `policyKey`: the run repeats itself without evaluating them again. */
  readonly known?: ReadonlyMap<string, number>;
  readonly onEpisode?: (report: EpisodeReport) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

export const policyKey = (decisions: readonly number[]): string => decisions.join(",");

/** Searches; the best policy seen, or null when it was cancelled before the first. Same seed, same run. */
export async function searchPolicy(options: PolicySearchOptions): Promise<Evaluated | null> {
  const { environment, reward, episodes, seed, agent: agentOptions = {}, evaluate, known, onEpisode, signal } = options;
  const accuracies = new Map(known);
  using agent = createDdpg({ ...agentOptions, stateSize: environment.stateSize, rng: createRng(seed).fork("agent") });
  let best: Evaluated | null = null;
  for (let episode = 0; episode < episodes && !signal?.aborted; episode++) {
    const { decisions, steps } = environment.play((state) => agent.explore(state, episode));
    const key = policyKey(decisions);
    const accuracy = accuracies.get(key) ?? (await evaluate(decisions));
    accuracies.set(key, accuracy);
    const value = reward(accuracy, decisions);
    agent.finish(steps, value, episode);
    const isBest = best === null || value > best.reward;
    if (isBest) best = { decisions, accuracy, reward: value };
    await onEpisode?.({ episode, episodes, decisions, accuracy, reward: value, noise: agent.noiseOf(episode), isBest });
  }
  return best;
}
