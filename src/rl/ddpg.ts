/**
 * @file Deep deterministic policy gradient for one action in [0, 1] per step, all steps of an episode getting the reward of its
 * end. Papers: Lillicrap et al. 2016, arXiv:1509.02971; He et al. 2018, arXiv:1802.03494 (AMC), section 3.
 * Deviation: transitions are stored whole; the published replay takes whatever was stored next for the next state.
 */
import { run } from "../nn/run.ts";
import { createTape } from "../tensor/tape.ts";
import { createScope, fromArray, type Tensor, valuesOf } from "../tensor/tensor.ts";
import { createAdam } from "../train/optimizers.ts";
import type { Rng } from "../util/rng.ts";
import { createActor, createCritic, moveTowards, type Network } from "./networks.ts";
import { createReplay, type Transition } from "./replay.ts";
import { truncatedNormal } from "./truncated-normal.ts";

export interface DdpgOptions {
  readonly stateSize: number;
  readonly rng: Rng;
  /** Transitions remembered (default 2000). */
  readonly capacity?: number;
  /** Width of both hidden layers (default 300). */
  readonly hidden?: number;
  readonly batchSize?: number;
  readonly actorLr?: number;
  readonly criticLr?: number;
  /** Discount γ (default 1). */
  readonly discount?: number;
  /** Share by which target networks follow (default 0.01). */
  readonly tau?: number;
  /** Share by which the reward's baseline follows the mean of sampled rewards (default 0.5). */
  readonly baselineShare?: number;
  /** Episodes of uniformly random actions (default 100). */
  readonly warmup?: number;
  /** Deviation of the noise after them, and its factor per episode (defaults 0.5 and 0.95). */
  readonly noise?: number;
  readonly noiseDecay?: number;
}

/** A step of an episode: what the agent saw and chose. */
export interface EpisodeStep {
  readonly state: readonly number[];
  readonly action: number;
  /** What budget and rounding made of the action, 0…1. */
  readonly taken: number;
}

export interface Agent extends Disposable {
  /** Deviation of the noise in an episode, counted from 0; null while actions are uniform. */
  noiseOf(episode: number): number | null;
  /** The action of an episode: random, then noisy. */
  explore(state: readonly number[], episode: number): number;
  /** The actor's choice without noise. */
  act(state: readonly number[]): number;
  /** Remembers an episode's steps with its reward; one update per step once warm-up is over. */
  finish(steps: readonly EpisodeStep[], reward: number, episode: number): void;
}

export function createDdpg(options: DdpgOptions): Agent {
  const { stateSize, rng, capacity = 2000, hidden = 300, batchSize = 64, actorLr = 1e-4, criticLr = 1e-3 } = options;
  const { discount = 1, tau = 0.01, baselineShare = 0.5, warmup = 100, noise = 0.5, noiseDecay = 0.95 } = options;
  const actor = createActor(stateSize, hidden, rng.fork("actor"));
  const critic = createCritic(stateSize, hidden, rng.fork("critic"));
  const targetActor = createActor(stateSize, hidden, rng.fork("actor"));
  const targetCritic = createCritic(stateSize, hidden, rng.fork("critic"));
  moveTowards(targetActor, actor, 1);
  moveTowards(targetCritic, critic, 1);
  const actorOptimizer = createAdam(actor.params);
  const criticOptimizer = createAdam(critic.params);
  const replay = createReplay(capacity);
  const [sampling, acting] = [rng.fork("replay"), rng.fork("noise")];
  let baseline: number | null = null;

  const rows = (states: readonly (readonly number[])[], width: number, more: { requiresGrad?: boolean } = {}): Tensor =>
    fromArray([states.length, width], states.flat(), more);
  const forward = (network: Network, x: Tensor): Float32Array =>
    valuesOf(run(network.graph, network.params, x, { tape: null, mode: "eval" }));
  const withActions = (states: readonly (readonly number[])[], actions: ArrayLike<number>) => states.map((s, i) => [...s, actions[i]!]);

  const update = (batch: readonly Transition[]): void => {
    using _scope = createScope();
    const states = batch.map(({ state }) => state);
    const mean = batch.reduce((sum, { reward }) => sum + reward, 0) / batch.length;
    baseline = baseline === null ? mean : baseline + baselineShare * (mean - baseline);
    const next = batch.map((transition) => transition.next);
    const nextActions = forward(targetActor, rows(next, stateSize));
    const nextValues = forward(targetCritic, rows(withActions(next, nextActions), stateSize + 1));
    const targets = batch.map(({ reward, isLast }, i) => reward - baseline! + (isLast ? 0 : discount * nextValues[i]!));

    // Critic: d/dQ of the mean of (Q − target)².
    const criticTape = createTape();
    const actions = batch.map(({ action }) => action);
    const value = run(critic.graph, critic.params, rows(withActions(states, actions), stateSize + 1), { tape: criticTape, mode: "train" });
    const error = Array.from(valuesOf(value), (q, i) => (2 / batch.length) * (q - targets[i]!));
    criticTape.backward(new Map([[value, fromArray(value.shape, error)]]));
    criticOptimizer.step(criticLr);

    // Actor: raises the mean of Q(s, mu(s)).
    const actorTape = createTape();
    const chosen = run(actor.graph, actor.params, rows(states, stateSize), { tape: actorTape, mode: "train" });
    const judged = rows(withActions(states, valuesOf(chosen)), stateSize + 1, { requiresGrad: true });
    const judgeTape = createTape();
    const quality = run(critic.graph, critic.params, judged, { tape: judgeTape, mode: "train" });
    const slope = new Float32Array(batch.length);
    const seed = fromArray(quality.shape, new Float32Array(batch.length).fill(-1 / batch.length));
    const readSlope = (gradient: Tensor) => {
      const values = valuesOf(gradient);
      for (let i = 0; i < slope.length; i++) slope[i] = values[i * (stateSize + 1) + stateSize]!;
    };
    judgeTape.backward(new Map([[quality, seed]]), new Map([[judged, readSlope]]));
    for (const name of critic.params.trainable) critic.params.get(name).gradient!.isSet = false;
    actorTape.backward(new Map([[chosen, fromArray(chosen.shape, slope)]]));
    actorOptimizer.step(actorLr);
    moveTowards(targetActor, actor, tau);
    moveTowards(targetCritic, critic, tau);
  };

  const act = (state: readonly number[]): number => {
    using _scope = createScope();
    return forward(actor, rows([state], stateSize))[0]!;
  };
  const noiseOf = (episode: number) => (episode < warmup ? null : noise * noiseDecay ** (episode - warmup));
  return {
    act,
    noiseOf,
    explore: (state, episode) => {
      const deviation = noiseOf(episode);
      return deviation === null ? acting.uniform() : truncatedNormal(act(state), deviation, acting);
    },
    finish: (steps, reward, episode) => {
      for (const [i, { state, action }] of steps.entries()) {
        const isLast = i === steps.length - 1;
        replay.push({ state, action, reward, next: isLast ? state : steps[i + 1]!.state, isLast });
        if (episode >= warmup) update(replay.sample(batchSize, sampling));
      }
    },
    [Symbol.dispose]: () => {
      for (const network of [actor, critic, targetActor, targetCritic]) network[Symbol.dispose]();
    },
  };
}
