/** @file BitFusion: what DRAM moves for one tile in one order of the loops over tiles. */

/** What a tile consists of. */
export type Operand = "inputs" | "weights" | "sums";
export type PerOperand<T> = { readonly [K in Operand]: T };

/** A loop over tiles, and whether each operand depends on it. */
export interface Loop extends PerOperand<boolean> {
  readonly count: number;
}

/** Bits of one operand for one tile: in DRAM, and in on-chip memory, where operands are padded. */
export interface TileBits {
  readonly moved: number;
  readonly kept: number;
  readonly capacity: number;
}

/** Over what the four loops run: rows and columns of output pixels, input channels, output channels. */
const LOOPS = [
  { inputs: true, weights: false, sums: true },
  { inputs: true, weights: false, sums: true },
  { inputs: true, weights: true, sums: false },
  { inputs: false, weights: true, sums: true },
] as const;

/** The loops over `counts` tiles of pixel rows, pixel columns, input and output channels; without those that run once. */
export const loopsOver = (counts: readonly [number, number, number, number]): Loop[] =>
  LOOPS.map((loop, i) => ({ ...loop, count: counts[i]! })).filter(({ count }) => count > 1);

/** Every order of the loops that differs: equal loops (over the rows and columns of a square) are exchangeable. */
export function ordersOf(loops: readonly Loop[]): Loop[][] {
  if (loops.length === 0) return [[]];
  const isSame = (a: Loop, b: Loop) => a.count === b.count && a.inputs === b.inputs && a.weights === b.weights;
  return loops
    .filter((loop, i) => loops.findIndex((other) => isSame(loop, other)) === i)
    .flatMap((first) => ordersOf(loops.filter((loop) => loop !== first)).map((rest) => [first, ...rest]));
}

/**
 * Bits of one operand that DRAM moves over all loops, innermost first, and the most of them that on-chip memory holds at a time.
 * As long as what the inner loops touch fits, a loop over something else moves nothing again.
 */
export function trafficOf(operand: Operand, order: readonly Loop[], bits: TileBits): { readonly moved: number; readonly largest: number } {
  let { moved, kept } = bits;
  let largest = moved;
  for (const loop of order) {
    if (kept > bits.capacity) moved *= loop.count;
    else if (loop[operand]) {
      moved *= loop.count;
      kept *= loop.count;
      if (kept <= bits.capacity) largest = moved;
    }
  }
  return { moved, largest };
}
