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

/** What validation images say of a policy. */
export interface Judgement {
  /** 0…1. */
  readonly accuracy: number;
  /** Mean KL divergence from the outputs of the network before, nats, where that is measured: much less a matter of chance than hits. */
  readonly divergence?: number;
}

/** The reward of a judgement and what was decided. */
export type RewardOf = (judgement: Judgement, decisions: readonly number[]) => number;

export interface Evaluated extends Judgement {
  readonly decisions: readonly number[];
  readonly reward: number;
}
export interface EpisodeReport extends Evaluated {
  readonly episode: number;
  readonly episodes: number;
  /** Deviation of the noise; null while actions are random. */
  readonly noise: number | null;
  readonly isBest: boolean;
  /** Evaluated now; else its judgement was known. */
  readonly isNew: boolean;
}

/** Below this deviation an actor repeats itself. */
const SETTLED = 0.01;
/** Deviation of a varied action, from the first refining episode to the last. */
const VARIATION = { first: 0.35, last: 0.04 } as const;
/** How many actions an episode varies: with few, what one gains is not lost in the others. */
const VARIED = { fewest: 2, most: 3 } as const;
/** Draws until a varied policy is one that was not seen before. */
const DRAWS = 20;

const inOrder = (actions: readonly number[]): (() => number) => {
  let t = 0;
  return () => actions[t++]!;
};

/** The actions of an episode with a few of them varied. */
function varied(steps: readonly EpisodeStep[], deviation: number, rng: Rng): number[] {
  const actions = steps.map(({ taken }) => taken);
  const count = VARIED.fewest + Math.floor((VARIED.most - VARIED.fewest + 1) * rng.uniform());
  for (const t of rng.shuffle(Int32Array.from(actions.keys())).slice(0, count)) actions[t] = truncatedNormal(actions[t]!, deviation, rng);
  return actions;
}

export interface PolicySearchOptions {
  readonly environment: Environment;
  readonly reward: RewardOf;
  readonly episodes: number;
  readonly seed: number;
  readonly agent?: Omit<DdpgOptions, "stateSize" | "rng">;
  /** Actions of the first episodes, such as those of rules of thumb: the search ends no worse than those it has episodes for. */
  readonly starts?: readonly (readonly number[])[];
  /**
   * Share of the episodes, at the end, that vary the best policy instead of asking the actor (default 0.3; 0 as published). What an actor
   * settles on when its noise has faded is rarely the best it met; nor does it find anything new then, so that the rest vary the best too.
   */
  readonly refinement?: number;
  /** Asked once for each policy. */
  readonly evaluate: (decisions: readonly number[]) => Judgement | Promise<Judgement>;
  /** Judgements known from a run that was interrupted, by `policyKey`: the run repeats itself without evaluating them again. */
  readonly known?: ReadonlyMap<string, Judgement>;
  readonly onEpisode?: (report: EpisodeReport) => void | Promise<void>;
  /** Ends the search after the episode that is on. */
  readonly signal?: AbortSignal;
  /** The same, but there is one episode at least. */
  readonly until?: AbortSignal;
}

export const policyKey = (decisions: readonly number[]): string => decisions.join(",");

/** Searches; the best policy seen or known, or null when it was cancelled before the first. Same seed, same run. */
export async function searchPolicy(options: PolicySearchOptions): Promise<Evaluated | null> {
  const {
    environment,
    reward,
    episodes,
    seed,
    starts = [],
    agent: agentOptions = {},
    refinement = 0.3,
    evaluate,
    known,
    onEpisode,
    signal,
    until,
  } = options;
  const judgements = new Map(known);
  const seen = new Set<string>();
  using agent = createDdpg({ ...agentOptions, stateSize: environment.stateSize, rng: createRng(seed).fork("agent") });
  const variation = createRng(seed).fork("variation");
  const isSettled = (episode: number) => (agent.noiseOf(episode) ?? 1) < SETTLED;
  let firstVaried = Math.max(1, Math.round((1 - refinement) * episodes));
  while (refinement > 0 && firstVaried > 1 && isSettled(firstVaried - 1)) firstVaried--;
  let best: (Evaluated & { readonly steps: readonly EpisodeStep[] }) | null = null;
  for (let episode = 0; episode < episodes && !signal?.aborted && !(best && until?.aborted); episode++) {
    const start = starts[episode];
    const isVaried = !start && best !== null && episode >= firstVaried;
    const progress = (episode - firstVaried) / Math.max(1, episodes - 1 - firstVaried);
    const noise = isVaried ? VARIATION.first + progress * (VARIATION.last - VARIATION.first) : start ? null : agent.noiseOf(episode);
    const play = (): Episode => {
      if (start) return environment.play(inOrder(start));
      if (isVaried) return environment.play(inOrder(varied(best!.steps, noise!, variation)));
      return environment.play((state) => agent.explore(state, episode));
    };
    let played = play();
    for (let draw = 1; isVaried && draw < DRAWS && seen.has(policyKey(played.decisions)); draw++) played = play();
    const { decisions, steps } = played;
    const key = policyKey(decisions);
    seen.add(key);
    const isNew = !judgements.has(key);
    const judgement = judgements.get(key) ?? (await evaluate(decisions));
    judgements.set(key, judgement);
    const value = reward(judgement, decisions);
    if (!isVaried) agent.finish(steps, value, episode);
    const isBest = best === null || value > best.reward;
    if (isBest) best = { decisions, ...judgement, reward: value, steps };
    await onEpisode?.({ episode, episodes, decisions, ...judgement, reward: value, noise, isBest, isNew });
  }
  if (!best) return null;
  const { steps, ...found } = best;
  // a run that is gone on with for longer takes another way, and may not come by what it knew
  const others = [...(known ?? [])].map(([key, judgement]): Evaluated => {
    const decisions = key.split(",").map(Number);
    return { decisions, ...judgement, reward: reward(judgement, decisions) };
  });
  return others.reduce((a, b) => (b.reward > a.reward ? b : a), found);
}
