/** @file From estimated latencies to measured ones: the best of what was found that is within the limit when measured. */

import { policyKey } from "../rl/policy-search.ts";
import type { RunFolder } from "./folder.ts";

export interface ConfirmOptions<T> {
  /** Best first. */
  readonly candidates: readonly T[];
  /** What was searched with; measured values are in the same unit. */
  readonly estimate: (candidate: T) => number;
  readonly measure: (candidate: T) => Promise<number>;
  readonly limit: number;
}

const ATTEMPTS = 8;
/** Of a limit that is measured: the exported file is measured once more, and measurements scatter. */
export const MEASURED_SHARE = 0.97;

/**
 * Measures candidates from the best on. After each miss, those whose estimate is not lower by as much as it missed are left out. At most
 * 8 are measured; if none is within the limit, the least of them.
 */
export async function confirmMeasured<T>({ candidates, estimate, measure, limit }: ConfirmOptions<T>): Promise<T> {
  let allowed = Number.POSITIVE_INFINITY;
  let fastest: { candidate: T; value: number } | null = null;
  let attempts = 0;
  for (const candidate of candidates) {
    const estimated = estimate(candidate);
    if (estimated > allowed) continue;
    const value = await measure(candidate);
    if (value <= limit) return candidate;
    if (!fastest || value < fastest.value) fastest = { candidate, value };
    allowed = (estimated * limit) / value;
    if (++attempts === ATTEMPTS) break;
  }
  return fastest!.candidate;
}

export interface ScaledConfirmOptions<T> extends Omit<ConfirmOptions<T>, "candidates"> {
  readonly first: T;
  /** The best that is known at an estimate of at most `aim`, in the limit's unit; null where that is too little. */
  readonly within: (aim: number) => Promise<T | null>;
}

/** After the first that is within the limit, so many more between it and the last that was not; less gain than this is not worth one. */
const STEPS_BACK = 2;
const LEAST_STEP = 1.02;

/**
 * Measures the first; after a miss the estimates were too low by as much as it missed, and the best within what they must then be is
 * measured. What is within the limit after misses may be well below it: up to twice more is tried, half way back at most. At most 8 are
 * measured; if none is within the limit, the fastest of them.
 */
export async function confirmScaled<T>({ first, within, estimate, measure, limit }: ScaledConfirmOptions<T>): Promise<T> {
  let candidate = first;
  let fitting: { candidate: T; estimated: number } | null = null;
  let fastest: { candidate: T; value: number } | null = null;
  let missed = Number.POSITIVE_INFINITY;
  let stepsBack = 0;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const [estimated, value] = [estimate(candidate), await measure(candidate)];
    if (value <= limit) fitting = { candidate, estimated };
    else {
      missed = Math.min(missed, estimated);
      if (!fastest || value < fastest.value) fastest = { candidate, value };
    }
    if (attempt === ATTEMPTS - 1) break;
    let aim = (estimated * limit) / value;
    if (fitting) {
      if (!fastest || stepsBack++ === STEPS_BACK) break;
      aim = Math.min(aim, (fitting.estimated + missed) / 2);
      if (aim < LEAST_STEP * fitting.estimated) break;
    }
    const next = await within(aim);
    if (next === null || (fitting && estimate(next) <= fitting.estimated)) break;
    candidate = next;
  }
  return (fitting ?? fastest)!.candidate;
}

/** What was confirmed for the found policy before the run was interrupted, or is confirmed now: measured again it might be another. */
export async function confirmedOnce(
  folder: RunFolder,
  { resume, signal }: { readonly resume?: boolean; readonly signal?: AbortSignal },
  found: readonly number[],
  confirm: () => Promise<readonly number[]>,
): Promise<readonly number[]> {
  const choices = folder.journal<{ found: string; decisions: readonly number[] }>("choice", resume === true);
  const key = policyKey(found);
  const before = choices.entries.find((choice) => choice.found === key)?.decisions;
  if (before) return before;
  const decisions = await confirm();
  if (!signal?.aborted) choices.append({ found: key, decisions });
  return decisions;
}
