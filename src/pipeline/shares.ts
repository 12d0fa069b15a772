/** @file How much of what a limit demands falls to pruning and how much to fewer bits. */

/** What each of the two can do about one cost, as shares of what the model costs before any stage. */
export interface Leverage {
  /** The least that pruning leaves. */
  readonly pruned: number;
  /** What is left at 8 bits, which cost next to no accuracy; 1 where bits change nothing. */
  readonly eightBits: number;
  /** The least that fewer bits leave. */
  readonly fewestBits: number;
  /** The least that both leave together: more than the product, as neither shrinks all of a network. */
  readonly both: number;
}

/** Pruning is a stage of its own: what is missing beyond 8 bits is left to fewer bits while it is no more than a fifth. */
const LEFT_TO_BITS = 0.8;
/** After pruning, layers are of other shapes and round otherwise: pruning aims this much below what bits could not make up for. */
const MARGIN = 0.9;

/**
 * The share of its cost that pruning must leave, 0…1, where `wanted` is what both stages together must leave; null when 8 bits, or a
 * few fewer, are enough. Beyond them both give the same factor, the square root of what is missing, as far as each can. Where bits change nothing,
 * pruning gives all. `wanted` must be at least `both`.
 */
export function shareOfPruning(wanted: number, { pruned, eightBits, fewestBits, both }: Leverage): number | null {
  const missing = wanted / eightBits;
  if (missing >= 1 || pruned >= 1) return null;
  if (missing >= LEFT_TO_BITS && fewestBits <= MARGIN * wanted) return null;
  if (fewestBits >= 1) return wanted;
  // what the fewest bits leave of a network pruned to s, on the line from `both` at `pruned` to `fewestBits` at 1
  const most = fewestBits > both ? pruned + ((1 - pruned) * (MARGIN * wanted - both)) / (fewestBits - both) : 1;
  return Math.max(pruned, Math.min(Math.sqrt(missing), most));
}
