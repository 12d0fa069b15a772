/** @file Exploration noise that stays within the action's bounds. */
import type { Rng } from "../util/rng.ts";

/** A mean inside the bounds is accepted at least every second time: this many misses do not happen. */
const ATTEMPTS = 64;

/**
 * A draw from N(mean, deviation²) restricted to [0, 1], by rejection; `mean` itself when the deviation is below 1e-8.
 * @param mean in [0, 1]
 */
export function truncatedNormal(mean: number, deviation: number, rng: Rng): number {
  if (deviation < 1e-8) return mean;
  for (let i = 0; i < ATTEMPTS; i++) {
    const value = mean + deviation * rng.normal();
    if (value >= 0 && value <= 1) return value;
  }
  return mean;
}
