/**
 * @file Search for the best policy of an environment that is decided step by step and judged at the end: the protocol that AMC and
 * HAQ share. Papers: He et al. 2018, arXiv:1802.03494, section 3; Wang et al. 2019, arXiv:1811.08886, section 3.
 */
import { createRng, type Rng } from "../util/rng.ts";
import { createDdpg, type DdpgOptions, type EpisodeStep } from "./ddpg.ts";
import { truncatedNormal } from "./truncated-normal.ts";

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

/** Deviation of a varied action, from the first refining episode to the last. */
const VARIATION = { first: 0.2, last: 0.04 } as const;
/** Share of the actions that an episode varies. */
const VARIED = 0.3;

/** The actions of an episode with some of them varied. */
function varied(steps: readonly EpisodeStep[], deviation: number, rng: Rng): () => number {
  let t = 0;
  return () => {
    const { taken } = steps[t++]!;
    return rng.uniform() < VARIED ? truncatedNormal(taken, deviation, rng) : taken;
  };
}

export interface PolicySearchOptions {
  readonly environment: Environment;
  readonly reward: RewardOf;
  readonly episodes: number;
  readonly seed: number;
  readonly agent?: Omit<DdpgOptions, "stateSize" | "rng">;
  /**
   * Share of the episodes, at the end, that vary the best policy instead of asking the actor (default 0.3; 0 as published). An actor's
   * noise fades after a hundred episodes, and what it settles on is rarely the best it met.
   */
  readonly refinement?: number;
  /** Accuracy of a policy; asked once for each. */
  readonly evaluate: (decisions: readonly number[]) => number | Promise<number>;
  /** Accuracies known from a run that was interrupted, by `policyKey`: the run repeats itself without evaluating them again. */
  readonly known?: ReadonlyMap<string, number>;
  readonly onEpisode?: (report: EpisodeReport) => void | Promise<void>;
  /** Ends the search after the episode that is on. */
  readonly signal?: AbortSignal;
  /** The same, but there is one episode at least. */
  readonly until?: AbortSignal;
}

export const policyKey = (decisions: readonly number[]): string => decisions.join(",");

/** Searches; the best policy seen, or null when it was cancelled before the first. Same seed, same run. */
export async function searchPolicy(options: PolicySearchOptions): Promise<Evaluated | null> {
  const {
    environment,
    reward,
    episodes,
    seed,
    agent: agentOptions = {},
    refinement = 0.3,
    evaluate,
    known,
    onEpisode,
    signal,
    until,
  } = options;
  const accuracies = new Map(known);
  using agent = createDdpg({ ...agentOptions, stateSize: environment.stateSize, rng: createRng(seed).fork("agent") });
  const variation = createRng(seed).fork("variation");
  const firstVaried = Math.max(1, Math.round((1 - refinement) * episodes));
  let best: (Evaluated & { readonly steps: readonly EpisodeStep[] }) | null = null;
  for (let episode = 0; episode < episodes && !signal?.aborted && !(best && until?.aborted); episode++) {
    const isVaried = best !== null && episode >= firstVaried;
    const progress = (episode - firstVaried) / Math.max(1, episodes - 1 - firstVaried);
    const noise = isVaried ? VARIATION.first + progress * (VARIATION.last - VARIATION.first) : agent.noiseOf(episode);
    const choose = isVaried ? varied(best!.steps, noise!, variation) : (state: readonly number[]) => agent.explore(state, episode);
    const { decisions, steps } = environment.play(choose);
    const key = policyKey(decisions);
    const accuracy = accuracies.get(key) ?? (await evaluate(decisions));
    accuracies.set(key, accuracy);
    const value = reward(accuracy, decisions);
    if (!isVaried) agent.finish(steps, value, episode);
    const isBest = best === null || value > best.reward;
    if (isBest) best = { decisions, accuracy, reward: value, steps };
    await onEpisode?.({ episode, episodes, decisions, accuracy, reward: value, noise, isBest });
  }
  return best && { decisions: best.decisions, accuracy: best.accuracy, reward: best.reward };
}
