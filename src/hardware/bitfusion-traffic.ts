/** @file BitFusion: what DRAM moves for one tile in one order of the loops over tiles. */

/** What a tile consists of. */
export type Operand = "inputs" | "weights" | "sums";
export type PerOperand<T> = { readonly [K in Operand]: T };

/** How often the loops over tiles run: over rows and columns of output pixels, input channels, output channels. */
export type LoopCounts = readonly [rows: number, columns: number, inChannels: number, outChannels: number];

/** Bits of one operand for one tile: in DRAM, and in on-chip memory, where operands are padded. */
export interface TileBits {
  readonly moved: number;
  readonly kept: number;
  readonly capacity: number;
}

/** Whether an operand depends on each of the four loops. */
const DEPENDS: PerOperand<readonly [boolean, boolean, boolean, boolean]> = {
  inputs: [true, true, true, false],
  weights: [false, false, true, true],
  sums: [true, true, false, true],
};

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((first) => permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]));
}

const orders = new Map<string, number[][]>();

/** The orders of the loops, by index, that differ: loops that run once are left out, equal ones over rows and columns do not swap. */
export function ordersOf(counts: LoopCounts): number[][] {
  const isExchangeable = counts[0] > 1 && counts[0] === counts[1];
  const repeated = [0, 1, 2, 3].filter((loop) => counts[loop]! > 1);
  const key = `${repeated} ${isExchangeable}`;
  let known = orders.get(key);
  if (!known) {
    known = permutations(repeated).filter((order) => !isExchangeable || order.indexOf(0) < order.indexOf(1));
    orders.set(key, known);
  }
  return known;
}

/**
 * Bits of one operand that DRAM moves over all loops, innermost first, and the most of them that on-chip memory holds at a time.
 * As long as what the inner loops touch fits, a loop over something else moves nothing again.
 */
export function trafficOf(
  operand: Operand,
  order: readonly number[],
  counts: LoopCounts,
  bits: TileBits,
): { moved: number; largest: number } {
  let { moved, kept } = bits;
  let largest = moved;
  for (const loop of order) {
    const count = counts[loop]!;
    if (kept > bits.capacity) moved *= count;
    else if (DEPENDS[operand][loop]) {
      moved *= count;
      kept *= count;
      if (kept <= bits.capacity) largest = moved;
    }
  }
  return { moved, largest };
}
