/** @file Choosing among candidates whose latency was estimated: the best one that is within the limit when measured. */

export interface ConfirmOptions<T> {
  /** Best first. */
  readonly candidates: readonly T[];
  /** What was searched with; measured values are in the same unit. */
  readonly estimate: (candidate: T) => number;
  readonly measure: (candidate: T) => Promise<number>;
  readonly limit: number;
}

const ATTEMPTS = 8;
/** Below the limit by this much, since the exported file is measured once more. */
const MARGIN = 0.98;

/**
 * Measures candidates from the best on. After each miss, those whose estimate is not lower by as much as it missed are left out. At most
 * 8 are measured; if none is within the limit, the fastest of them.
 */
export async function confirmMeasured<T>({ candidates, estimate, measure, limit }: ConfirmOptions<T>): Promise<T> {
  let allowed = Number.POSITIVE_INFINITY;
  let fastest: { candidate: T; value: number } | null = null;
  let attempts = 0;
  for (const candidate of candidates) {
    const estimated = estimate(candidate);
    if (estimated > allowed) continue;
    const value = await measure(candidate);
    if (value <= MARGIN * limit) return candidate;
    if (!fastest || value < fastest.value) fastest = { candidate, value };
    allowed = (estimated * MARGIN * limit) / value;
    if (++attempts === ATTEMPTS) break;
  }
  return fastest!.candidate;
}
