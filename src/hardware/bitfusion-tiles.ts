/** @file BitFusion: how a dense convolution is cut into tiles, in which order they run, and how many cycles that takes. */
import type { Pair } from "../graph/types.ts";
import type { Precision } from "./precision.ts";

/** Bits of a partial sum, on the chip and in DRAM. */
export const SUM_BITS = 32;
/** Bits that DRAM moves per cycle, either way. */
const DRAM_BITS_PER_CYCLE = 192;

/** A systolic array: `rows` inputs are multiplied with the weights of `columns` outputs per cycle, more often with fewer bits. */
export interface FusionArray {
  readonly rows: number;
  readonly columns: number;
  /** Bytes of the three on-chip memories. Half of each is filled while the other half is read. */
  readonly inputBytes: number;
  readonly weightBytes: number;
  readonly outputBytes: number;
}

/** A convolution of all input with all output channels, one sample. */
export interface DenseConvolution {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly outputSize: Pair;
  /** Whether windows are laid out as columns first, as for a network's first layer: kernel positions then fill the rows too. */
  readonly isUnrolled: boolean;
}

/** Output pixels and channels that are computed without going back to DRAM. */
export interface Tile {
  readonly height: number;
  readonly width: number;
  readonly inChannels: number;
  readonly outChannels: number;
}

/** One tile and loop order. Counts are of the whole convolution. */
export interface Schedule {
  readonly tile: Tile;
  readonly tiles: number;
  readonly cycles: number;
  /** Cycles in which the array computes; in the others it waits for DRAM. */
  readonly computeCycles: number;
  /** Bits from DRAM; sums are written to DRAM as often as they are read. */
  readonly inputBits: number;
  readonly weightBits: number;
  readonly sumBits: number;
}

/** Bits that an operand takes in on-chip memory and in the multipliers: 2, 4 or 8. */
const fusedBits = (bits: number): number => (bits <= 2 ? 2 : bits <= 4 ? 4 : 8);

/** Products that one unit makes per cycle, 1 to 16: a unit is 16 multipliers of 2 bits, all of which 8-bit operands need. */
export const productsPerUnit = ({ weightBits, activationBits }: Precision): number =>
  (8 / fusedBits(weightBits)) * (8 / fusedBits(activationBits));

/** `unit` doubled again and again below `length`, and `length`. */
function sizesUpTo(length: number, unit = 1): number[] {
  const sizes: number[] = [];
  for (let size = unit; size < length; size *= 2) sizes.push(size);
  return [...sizes, length];
}

const roundUp = (value: number, multiple: number): number => Math.ceil(value / multiple) * multiple;

/** Over what the loops run, and whether inputs, weights and sums depend on it. */
const LOOPS = [
  { over: "rows", inputs: true, weights: false, sums: true },
  { over: "columns", inputs: true, weights: false, sums: true },
  { over: "inChannels", inputs: true, weights: true, sums: false },
  { over: "outChannels", inputs: false, weights: true, sums: true },
] as const;
type Operand = "inputs" | "weights" | "sums";
interface Loop {
  readonly count: number;
  readonly inputs: boolean;
  readonly weights: boolean;
  readonly sums: boolean;
}

/** Every order of the loops that differs: those that run once have no place in it, and equal ones (the pixels of a square) are exchangeable. */
function ordersOf(loops: readonly Loop[]): Loop[][] {
  if (loops.length === 0) return [[]];
  const isSame = (a: Loop, b: Loop) => a.count === b.count && a.inputs === b.inputs && a.weights === b.weights;
  return loops
    .filter((loop, i) => loops.findIndex((other) => isSame(loop, other)) === i)
    .flatMap((first) => ordersOf(loops.filter((loop) => loop !== first)).map((rest) => [first, ...rest]));
}

/** Bits of one operand for one tile: in DRAM, and in on-chip memory, where operands are padded. */
interface TileBits {
  readonly moved: number;
  readonly kept: number;
  readonly capacity: number;
}

/**
 * Bits of one operand that DRAM moves over all loops, innermost first, and the largest part of them that on-chip memory keeps.
 * While what the loops so far touch fits, a loop over something else moves nothing again.
 */
function trafficOf(operand: Operand, order: readonly Loop[], { moved, kept, capacity }: TileBits): { moved: number; largest: number } {
  let total = moved;
  let held = kept;
  let largest = moved;
  for (const loop of order) {
    if (held > capacity) total *= loop.count;
    else if (loop[operand]) {
      total *= loop.count;
      held *= loop.count;
      if (held <= capacity) largest = total;
    }
  }
  return { moved: total, largest };
}

const dramCycles = (bits: number): number => Math.ceil(bits / DRAM_BITS_PER_CYCLE);

/**
 * Every tile and loop order that fits, given to `consider`.
 *
 * fill = ⌈(inputs + weights + sums kept)/192⌉, drain = ⌈sums kept/192⌉, cycles = fill + drain + max(compute, DRAM − fill − drain):
 * the first fill and the last drain overlap with nothing, everything between with the computation.
 *
 * Tiles are squares of a power of two (or the whole map), with a power of two of input channels (or all) and a power of two of array
 * columns (or all outputs). Memory holds operands of 2, 4 or 8 bits padded to whole array rows and columns; DRAM moves the bits
 * themselves. Of the 120 orders of five loops at most 12 are tried on a square map and 24 on others: a batch of one has no loop, and
 * see `ordersOf`. Tiles whose computation alone takes longer than `bound()` cycles are left out.
 *
 * Source: the model of BitFusion (Sharma et al., ISCA 2018), rebuilt from a description. Deviations, all found in the latencies that
 * APQ published: DRAM moves no padding, a 6-bit operand takes 8 bits on the chip, reads and writes are each rounded up to cycles.
 */
export function forEachSchedule(
  layer: DenseConvolution,
  precision: Precision,
  array: FusionArray,
  bound: () => number,
  consider: (schedule: Schedule) => void,
): void {
  const { kernel, stride, outputSize, isUnrolled } = layer;
  const window = kernel[0] * kernel[1];
  const rows = array.rows * productsPerUnit(precision);
  const kept = { weight: fusedBits(precision.weightBits), activation: fusedBits(precision.activationBits) };
  /** Half a memory, in bits. */
  const capacities = { inputs: array.inputBytes * 4, weights: array.weightBytes * 4, sums: array.outputBytes * 4 };
  for (const side of sizesUpTo(Math.max(...outputSize))) {
    const height = Math.min(side, outputSize[0]);
    const width = Math.min(side, outputSize[1]);
    const pixels = height * width;
    const read = isUnrolled ? pixels * window : ((height - 1) * stride[0] + kernel[0]) * ((width - 1) * stride[1] + kernel[1]);
    for (const inChannels of sizesUpTo(layer.inChannels)) {
      const steps = isUnrolled ? Math.ceil((window * inChannels) / rows) : window * Math.ceil(inChannels / rows);
      for (const outChannels of sizesUpTo(layer.outChannels, array.columns)) {
        const columns = roundUp(outChannels, array.columns);
        const inputs = read * inChannels;
        const weights = window * inChannels * outChannels;
        const sums = pixels * outChannels * SUM_BITS;
        const bits = {
          inputs: { moved: inputs * precision.activationBits, kept: inputs * kept.activation, capacity: capacities.inputs },
          weights: {
            moved: weights * precision.weightBits,
            kept: steps * rows * columns * kept.weight,
            capacity: capacities.weights,
          },
          sums: { moved: sums, kept: pixels * columns * SUM_BITS, capacity: capacities.sums },
        };
        if (bits.inputs.kept > capacities.inputs || bits.weights.kept > capacities.weights || bits.sums.kept > capacities.sums) continue;
        const counts = [outputSize[0] / height, outputSize[1] / width, layer.inChannels / inChannels, layer.outChannels / outChannels];
        const loops = LOOPS.map((loop, i) => ({ ...loop, count: Math.ceil(counts[i]!) }));
        const tiles = loops.reduce((product, { count }) => product * count, 1);
        const computeCycles = tiles * (columns / array.columns) * pixels * steps;
        if (computeCycles > bound()) continue;
        for (const order of ordersOf(loops.filter(({ count }) => count > 1))) {
          const input = trafficOf("inputs", order, bits.inputs);
          const weight = trafficOf("weights", order, bits.weights);
          const sum = trafficOf("sums", order, bits.sums);
          const ends = dramCycles(input.largest + weight.largest + sum.largest) + dramCycles(sum.largest);
          const memoryCycles = dramCycles(input.moved + weight.moved + sum.moved) + dramCycles(sum.moved);
          consider({
            tile: { height, width, inChannels, outChannels },
            tiles,
            cycles: Math.max(computeCycles + ends, memoryCycles),
            computeCycles,
            inputBits: input.moved,
            weightBits: weight.moved,
            sumBits: sum.moved,
          });
        }
      }
    }
  }
}
