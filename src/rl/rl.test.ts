import { describe, expect, test } from "vitest";
import { createRng } from "../util/rng.ts";
import { type Agent, createDdpg, type DdpgOptions, type EpisodeStep } from "./ddpg.ts";
import { type Environment, type PolicySearchOptions, searchPolicy } from "./policy-search.ts";
import { createReplay } from "./replay.ts";
import { truncatedNormal } from "./truncated-normal.ts";

/** Per step an action must match a hidden function of the state; the mean squared miss is the episode's loss. */
const STEPS = 8;
const wanted = (t: number) => 0.2 + 0.6 * Math.sin(1.3 * t) ** 2;
const stateOf = (t: number, previous: number) => [t / STEPS, previous, wanted(t - 1)];

function episode(choose: (state: readonly number[]) => number) {
  const steps: EpisodeStep[] = [];
  let loss = 0;
  for (let t = 0; t < STEPS; t++) {
    const state = stateOf(t, steps.at(-1)?.action ?? 1);
    const action = choose(state);
    loss += (action - wanted(t)) ** 2 / STEPS;
    steps.push({ state, action, taken: action });
  }
  return { steps, reward: -loss };
}

const small = { stateSize: 3, hidden: 64, warmup: 50, noiseDecay: 0.98, actorLr: 1e-3, criticLr: 2e-3 } satisfies Omit<DdpgOptions, "rng">;
function learn(seed: number, episodes: number): { agent: Agent; rewards: number[] } {
  const agent = createDdpg({ ...small, rng: createRng(seed) });
  const rewards = Array.from({ length: episodes }, (_, i) => {
    const { steps, reward } = episode((state) => agent.explore(state, i));
    agent.finish(steps, reward, i);
    return reward;
  });
  return { agent, rewards };
}

describe("the agent", () => {
  test("comes nearer to the optimum of a control problem than random search with as many episodes, on average", () => {
    const episodes = 400;
    const seeds = [1, 2, 3];
    const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
    const random = seeds.map((seed) => {
      const rng = createRng(seed + 100);
      return Math.max(...Array.from({ length: episodes }, () => episode(() => rng.uniform()).reward));
    });
    const runs = seeds.map((seed) => {
      const { agent, rewards } = learn(seed, episodes);
      using _agent = agent;
      return { best: Math.max(...rewards), learnt: episode((state) => agent.act(state)).reward };
    });
    expect(mean(runs.map(({ best }) => best))).toBeGreaterThan(mean(random) * 0.7);
    expect(mean(runs.map(({ learnt }) => learnt))).toBeGreaterThan(mean(random));
    for (const { learnt } of runs) expect(learnt).toBeGreaterThan(-0.03); // the optimum is 0; uniform actions give -0.13 on average
  });

  test("same seed, same run; another seed, another", () => {
    const [a, b, c] = [learn(4, 80), learn(4, 80), learn(5, 80)];
    expect(a.rewards).toEqual(b.rewards);
    expect(a.rewards).not.toEqual(c.rewards);
    for (const { agent } of [a, b, c]) agent[Symbol.dispose]();
  });

  test("explores uniformly first, then with noise that decays", () => {
    using agent = createDdpg({ ...small, rng: createRng(6), noise: 0.5 });
    expect(agent.noiseOf(49)).toBeNull();
    expect(agent.noiseOf(50)).toBe(0.5);
    expect(agent.noiseOf(150)).toBeCloseTo(0.5 * 0.98 ** 100, 12);
    const state = [0.1, 0.2, 0.3];
    expect(agent.explore(state, 5000)).toBeCloseTo(agent.act(state), 6);
  });
});

test("truncated normal draws stay in bounds and keep their shape", () => {
  const rng = createRng(1);
  const draws = Array.from({ length: 20000 }, () => truncatedNormal(0.5, 0.1, rng));
  const mean = draws.reduce((sum, v) => sum + v, 0) / draws.length;
  const deviation = Math.sqrt(draws.reduce((sum, v) => sum + (v - mean) ** 2, 0) / draws.length);
  expect(mean).toBeCloseTo(0.5, 2);
  expect(deviation).toBeCloseTo(0.1, 2);
  for (const centre of [0, 1])
    for (let i = 0; i < 1000; i++) expect(Math.abs(truncatedNormal(centre, 0.5, rng) - 0.5)).toBeLessThanOrEqual(0.5);
  expect(truncatedNormal(0.3, 1e-9, rng)).toBe(0.3);
});

test("the replay forgets the oldest and samples without repetition", () => {
  const replay = createReplay(4);
  const transition = (reward: number) => ({ state: [0], action: 0, reward, next: [0], isLast: true });
  for (let i = 0; i < 6; i++) replay.push(transition(i));
  expect(replay.size).toBe(4);
  const rng = createRng(2);
  for (let i = 0; i < 20; i++)
    expect(
      replay
        .sample(4, rng)
        .map(({ reward }) => reward)
        .sort(),
    ).toEqual([2, 3, 4, 5]);
  expect(replay.sample(9, rng)).toHaveLength(9);
});

describe("the search for a policy", () => {
  /** Twelve shares of which the best is hidden; actions above a bound have no effect, as with a budget. */
  const best = Array.from({ length: 12 }, (_, t) => 0.15 + 0.5 * Math.sin(1.7 * t) ** 2);
  const environment: Environment = {
    stateSize: 2,
    play: (choose) => {
      const steps: EpisodeStep[] = [];
      for (const t of best.keys()) {
        const state = [t / best.length, steps.at(-1)?.taken ?? 1];
        const action = choose(state);
        steps.push({ state, action, taken: Math.min(0.7, action) });
      }
      return { decisions: steps.map(({ taken }) => taken), steps };
    },
  };
  const accuracy = (decisions: readonly number[]) => 1 - decisions.reduce((sum, v, t) => sum + (v - best[t]!) ** 2, 0);
  const search = (
    refinement: number,
    seed: number,
    more: Pick<PolicySearchOptions, "onEpisode" | "starts"> & { readonly episodes?: number } = {},
  ) =>
    searchPolicy({
      environment,
      reward: (judgement) => judgement.accuracy,
      evaluate: (decisions) => ({ accuracy: accuracy(decisions) }),
      episodes: 120,
      seed,
      refinement,
      agent: { warmup: 30, hidden: 32 },
      ...more,
    });

  test("ends nearer to the optimum when its last episodes vary the best policy, in as many episodes", async () => {
    for (const seed of [1, 2, 3]) {
      const [with3, without] = [await search(0.3, seed), await search(0, seed)];
      expect(with3!.accuracy).toBeGreaterThan(without!.accuracy);
      expect(with3!.accuracy).toBe(accuracy(with3!.decisions));
    }
  });

  test("varies the best policy from when the actor's noise has faded", async () => {
    const noiseOf = async (refinement: number) => {
      const noise: (number | null)[] = [];
      await search(refinement, 5, { episodes: 200, onEpisode: (event) => void noise.push(event.noise) });
      return noise.filter((one) => one !== null);
    };
    expect(Math.min(...(await noiseOf(0)))).toBeLessThan(0.001);
    expect(Math.min(...(await noiseOf(0.1)))).toBeGreaterThanOrEqual(0.01);
  });

  test("begins with the actions that it is given, and ends no worse than they do", async () => {
    const near = best.map((share) => Math.min(0.69, share + 0.05));
    const first: (readonly number[])[] = [];
    const found = await search(0.3, 6, { episodes: 20, starts: [near], onEpisode: ({ decisions }) => void first.push(decisions) });
    expect(first[0]).toEqual(near);
    expect(found!.accuracy).toBeGreaterThanOrEqual(accuracy(near));
  });

  test("same seed, same run", async () => {
    expect(await search(0.3, 4)).toEqual(await search(0.3, 4));
  });
});
