/** @file Seeded randomness as an argument: every random draw of the project goes through an Rng. */
import { xoroshiro128plus, xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

/** Where a stream is. */
export interface RngState {
  readonly generator: readonly number[];
  /** The second of a pair of normal draws. */
  readonly spare: number | null;
}

export interface Rng {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** Uniform integer in [0, n). */
  int(n: number): number;
  /** Index i with probability proportional to weights[i] (≥ 0, not all 0). */
  categorical(weights: ArrayLike<number>): number;
  /** Shuffles in place (Fisher–Yates) and returns its argument. */
  shuffle<A extends { length: number; [i: number]: unknown }>(items: A): A;
  /** Independent stream named `label`: it depends on this stream's seed and the label alone, not on draws made so far. */
  fork(label: string): Rng;
  /** For a stream of the same seed to go on from here. */
  state(): RngState;
  restore(state: RngState): void;
}

/** Draws thrown away, so that the state's many equal bits are spread. */
const WARM_UP = 8;

/** FNV-1a over the label, mixed with the parent's seed. */
function childSeed(seed: number, label: string): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < label.length; i++) hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b) >>> 0;
  return (hash ^ (hash >>> 13)) >>> 0;
}

/** Finaliser of MurmurHash3: neighbouring seeds start far apart. */
function scramble(seed: number): number {
  let h = seed | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16) ^ 0x9e3779b9) | 0;
}

/** A generator that gives the same stream for the same seed on every machine. */
export function createRng(seed: number): Rng {
  let generator = xoroshiro128plus(scramble(seed));
  for (let i = 0; i < WARM_UP; i++) generator.next();
  const bits = () => generator.next() >>> 0;
  let spare: number | null = null;
  const rng: Rng = {
    uniform: () => ((bits() >>> 5) * 67108864 + (bits() >>> 6)) / 9007199254740992,
    normal: () => {
      if (spare !== null) {
        const value = spare;
        spare = null;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - rng.uniform()));
      const angle = 2 * Math.PI * rng.uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    int: (n) => Math.floor(rng.uniform() * n),
    categorical: (weights) => {
      let total = 0;
      for (let i = 0; i < weights.length; i++) total += weights[i] as number;
      let rest = rng.uniform() * total;
      let last = 0;
      for (let i = 0; i < weights.length; i++) {
        const weight = weights[i] as number;
        if (weight <= 0) continue;
        last = i;
        rest -= weight;
        if (rest < 0) return i;
      }
      return last;
    },
    shuffle: (items) => {
      for (let i = items.length - 1; i > 0; i--) {
        const j = rng.int(i + 1);
        const swap = items[i];
        (items as { [k: number]: unknown })[i] = items[j];
        (items as { [k: number]: unknown })[j] = swap;
      }
      return items;
    },
    fork: (label) => createRng(childSeed(seed, label)),
    state: () => ({ generator: generator.getState(), spare }),
    restore: (state) => {
      generator = xoroshiro128plusFromState(state.generator);
      spare = state.spare;
    },
  };
  return rng;
}
