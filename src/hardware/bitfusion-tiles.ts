/** @file BitFusion: the tiles that a dense convolution can be cut into, and the cycles of each in each order. */
import type { Pair } from "../graph/types.ts";
import { type LoopCounts, ordersOf, type PerOperand, type TileBits, trafficOf } from "./bitfusion-traffic.ts";
import type { Precision } from "./precision.ts";

/** Bits of a partial sum, on the chip and in DRAM. */
export const SUM_BITS = 32;
/** Bits that DRAM moves per cycle, either way. */
const DRAM_BITS_PER_CYCLE = 192;

/** A systolic array: each cycle multiplies `rows` inputs with the weights of `columns` outputs; fewer bits act as more rows. */
export interface FusionArray {
  readonly rows: number;
  readonly columns: number;
  /** Bytes of the on-chip memories. Half of each is filled while the other half is in use. */
  readonly bytes: PerOperand<number>;
}

/** A convolution of all input with all output channels, one sample. */
export interface DenseConvolution {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly outputSize: Pair;
  /** Whether windows are laid out as vectors first, as BitFusion does for a network's first layer: they fill rows that channels cannot. */
  readonly isUnrolled: boolean;
}

/** What is computed without going back to DRAM. */
export interface Tile {
  readonly height: number;
  readonly width: number;
  readonly inChannels: number;
  readonly outChannels: number;
  /** Passes over the array for each output pixel and `columns` outputs. */
  readonly passes: number;
}

/** One tile and loop order. Counts are of the whole convolution. */
export interface Schedule {
  readonly tile: Tile;
  readonly tiles: number;
  readonly cycles: number;
  /** Cycles in which the array computes; in the others it waits for DRAM. */
  readonly computeCycles: number;
  /** Bits from DRAM. Sums are written there as often as they are read. */
  readonly movedBits: PerOperand<number>;
}

/** Bits that an operand takes in on-chip memory and in the multipliers. */
const fusedBits = (bits: number): number => (bits <= 2 ? 2 : bits <= 4 ? 4 : 8);

/** Products of a unit per cycle, 1 to 16: it has 16 multipliers of 2 bits, and one product of 8-bit operands needs them all. */
export const productsPerUnit = ({ weightBits, activationBits }: Precision): number =>
  (8 / fusedBits(weightBits)) * (8 / fusedBits(activationBits));

/** `unit` doubled again and again below `length`, and `length`. */
function sizesUpTo(length: number, unit = 1): number[] {
  const sizes: number[] = [];
  for (let size = unit; size < length; size *= 2) sizes.push(size);
  return [...sizes, length];
}

/** Squares of a power of two (or the whole map), a power of two of input channels (or all), and of whole arrays of output channels. */
function tilesOf(layer: DenseConvolution, rows: number, columns: number): Tile[] {
  const { kernel, outputSize, isUnrolled } = layer;
  const window = kernel[0] * kernel[1];
  return sizesUpTo(Math.max(...outputSize)).flatMap((side) =>
    sizesUpTo(layer.inChannels).flatMap((inChannels) => {
      const passes = isUnrolled ? Math.ceil((window * inChannels) / rows) : window * Math.ceil(inChannels / rows);
      const size = { height: Math.min(side, outputSize[0]), width: Math.min(side, outputSize[1]), inChannels, passes };
      return sizesUpTo(layer.outChannels, columns).map((outChannels) => ({ ...size, outChannels }));
    }),
  );
}

/** DRAM moves the operands as they are; memory holds 2, 4 or 8 bits of them, weights and sums padded to the array's rows and columns. */
function tileBits(layer: DenseConvolution, tile: Tile, precision: Precision, array: FusionArray, isPadded: boolean): PerOperand<TileBits> {
  const { kernel, stride } = layer;
  const { weightBits, activationBits } = precision;
  const pixels = tile.height * tile.width;
  const window = kernel[0] * kernel[1];
  const region = ((tile.height - 1) * stride[0] + kernel[0]) * ((tile.width - 1) * stride[1] + kernel[1]);
  const inputs = (layer.isUnrolled ? pixels * window : region) * tile.inChannels;
  const weights = window * tile.inChannels * tile.outChannels;
  const columns = Math.ceil(tile.outChannels / array.columns) * array.columns;
  const keptWeights = isPadded ? tile.passes * array.rows * productsPerUnit(precision) * columns : weights;
  const half = (bytes: number) => bytes * 4;
  return {
    inputs: { moved: inputs * activationBits, kept: inputs * fusedBits(activationBits), capacity: half(array.bytes.inputs) },
    weights: { moved: weights * weightBits, kept: keptWeights * fusedBits(weightBits), capacity: half(array.bytes.weights) },
    sums: { moved: pixels * tile.outChannels * SUM_BITS, kept: pixels * columns * SUM_BITS, capacity: half(array.bytes.sums) },
  };
}

const fits = (bits: PerOperand<TileBits>): boolean =>
  bits.inputs.kept <= bits.inputs.capacity && bits.weights.kept <= bits.weights.capacity && bits.sums.kept <= bits.sums.capacity;

const tileCounts = (layer: DenseConvolution, tile: Tile): LoopCounts => [
  Math.ceil(layer.outputSize[0] / tile.height),
  Math.ceil(layer.outputSize[1] / tile.width),
  Math.ceil(layer.inChannels / tile.inChannels),
  Math.ceil(layer.outChannels / tile.outChannels),
];

const dramCycles = (bits: number): number => Math.ceil(bits / DRAM_BITS_PER_CYCLE);

/** Tiles that fit. Where a large kernel leaves none, its weights are kept without padding. */
function fittingTiles(layer: DenseConvolution, precision: Precision, array: FusionArray): { tile: Tile; bits: PerOperand<TileBits> }[] {
  const tiles = tilesOf(layer, array.rows * productsPerUnit(precision), array.columns);
  for (const isPadded of [true, false]) {
    const fitting = tiles
      .map((tile) => ({ tile, bits: tileBits(layer, tile, precision, array, isPadded) }))
      .filter(({ bits }) => fits(bits));
    if (fitting.length > 0) return fitting;
  }
  return [];
}

/** Cycles and traffic in one loop order. The first fill of the memories and their last drain overlap with nothing, the rest does. */
function trafficAndCycles(order: readonly number[], counts: LoopCounts, bits: PerOperand<TileBits>, computeCycles: number) {
  const inputs = trafficOf("inputs", order, counts, bits.inputs);
  const weights = trafficOf("weights", order, counts, bits.weights);
  const sums = trafficOf("sums", order, counts, bits.sums);
  const ends = dramCycles(inputs.largest + weights.largest + sums.largest) + dramCycles(sums.largest);
  const memoryCycles = dramCycles(inputs.moved + weights.moved + sums.moved) + dramCycles(sums.moved);
  const movedBits = { inputs: inputs.moved, weights: weights.moved, sums: sums.moved };
  return { cycles: Math.max(computeCycles + ends, memoryCycles), movedBits };
}

/**
 * The tile and loop order with the fewest cycles; among equals, that with the least `energy`. `null` when not even one pixel fits.
 *
 * Of the 120 orders of five loops at most 12 are tried on a square map and 24 on others: a batch of one has no loop, and see
 * `ordersOf`. Tiles whose computation alone takes longer than the best so far are skipped.
 */
export function bestSchedule(
  layer: DenseConvolution,
  precision: Precision,
  array: FusionArray,
  energy: (schedule: Schedule) => number,
): Schedule | null {
  let best: { readonly schedule: Schedule; readonly energy: number } | null = null;
  for (const { tile, bits } of fittingTiles(layer, precision, array)) {
    const counts = tileCounts(layer, tile);
    const tiles = counts.reduce((product, count) => product * count);
    const computeCycles = tiles * Math.ceil(tile.outChannels / array.columns) * tile.height * tile.width * tile.passes;
    if (best && computeCycles > best.schedule.cycles) continue;
    for (const order of ordersOf(counts)) {
      const schedule = { tile, tiles, computeCycles, ...trafficAndCycles(order, counts, bits, computeCycles) };
      if (best && schedule.cycles > best.schedule.cycles) continue;
      const candidate = { schedule, energy: energy(schedule) };
      if (!best || schedule.cycles < best.schedule.cycles || candidate.energy < best.energy) best = candidate;
    }
  }
  return best?.schedule ?? null;
}
