/** @file Several limits that hold at once. */

export interface Limited<P> {
  /** In the limit's unit. */
  readonly cost: (policy: P) => number;
  readonly limit: number;
}

/**
 * Limits as one: the largest share of its limit that any cost takes must be at most 1. A single limit stays in its unit, none is a
 * budget of Infinity on `otherwise`.
 */
export function combined<P>(
  limits: readonly Limited<P>[],
  otherwise: (policy: P) => number,
): { cost: (policy: P) => number; budget: number } {
  const [only, second] = limits;
  if (!only) return { cost: otherwise, budget: Number.POSITIVE_INFINITY };
  if (!second) return { cost: only.cost, budget: only.limit };
  return { cost: (policy) => limits.reduce((most, { cost, limit }) => Math.max(most, cost(policy) / limit), 0), budget: 1 };
}
