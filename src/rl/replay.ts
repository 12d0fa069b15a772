/** @file What the agent remembers: a ring of transitions. */
import type { Rng } from "../util/rng.ts";

export interface Transition {
  readonly state: readonly number[];
  /** The actor's own choice, before any budget changed it. */
  readonly action: number;
  readonly reward: number;
  readonly next: readonly number[];
  readonly isLast: boolean;
}

export interface Replay {
  readonly size: number;
  push(transition: Transition): void;
  /** `count` transitions, without repetition when there are that many. */
  sample(count: number, rng: Rng): Transition[];
}

export function createReplay(capacity: number): Replay {
  const ring: Transition[] = [];
  let next = 0;
  return {
    get size() {
      return ring.length;
    },
    push: (transition) => {
      ring[next] = transition;
      next = (next + 1) % capacity;
    },
    sample: (count, rng) => {
      if (ring.length < count) return Array.from({ length: count }, () => ring[rng.int(ring.length)]!);
      const chosen = new Set<number>();
      while (chosen.size < count) chosen.add(rng.int(ring.length));
      return [...chosen].map((i) => ring[i]!);
    },
  };
}
