/** @file float64 arrays for the reference implementations. */
import type { Rng } from "../../src/util/rng.ts";

export interface Ref {
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

export const size = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
export const zeros = (shape: readonly number[]): Ref => ({ shape: [...shape], data: new Float64Array(size(shape)) });
export const map = (x: Ref, f: (value: number, index: number) => number): Ref => ({ shape: x.shape, data: x.data.map(f) });

/** Normal numbers that float32 holds exactly, none nearer than `gap` to a kink at `avoid`. */
export function random(shape: readonly number[], rng: Rng, { scale = 1, avoid = [] as readonly number[], gap = 1e-3 } = {}): Ref {
  const draw = (): number => {
    const value = Math.fround(scale * rng.normal());
    return avoid.some((kink) => Math.abs(value - kink) < gap) ? draw() : value;
  };
  return map(zeros(shape), draw);
}

/** Largest |a − e| / (1 + |e|) and where it is. */
export function maxError(actual: ArrayLike<number>, expected: ArrayLike<number>): { worst: number; index: number } {
  if (actual.length !== expected.length) return { worst: Number.POSITIVE_INFINITY, index: -1 };
  let [worst, index] = [0, -1];
  for (let i = 0; i < actual.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!) / (1 + Math.abs(expected[i]!));
    if (!(error <= worst)) [worst, index] = [error, i];
  }
  return { worst, index };
}

/** |numeric − analytic| / max(1, |numeric|, |analytic|) of a directional derivative along a random direction. */
export function gradientError(f: (x: Ref) => number, gradient: Ref, x: Ref, rng: Rng, epsilon = 1e-5): number {
  const direction = x.data.map(() => rng.normal());
  const at = (t: number) => f(map(x, (value, i) => value + t * direction[i]!));
  const numeric = (at(epsilon) - at(-epsilon)) / (2 * epsilon);
  const analytic = gradient.data.reduce((sum, g, i) => sum + g * direction[i]!, 0);
  return Math.abs(numeric - analytic) / Math.max(1, Math.abs(numeric), Math.abs(analytic));
}

/** Σ a·b: turns any op into a scalar function whose output gradient is `b`. */
export const dot = (a: Ref, b: Ref): number => a.data.reduce((sum, value, i) => sum + value * b.data[i]!, 0);
