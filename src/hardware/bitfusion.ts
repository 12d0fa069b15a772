/** @file BitFusion, an accelerator whose multipliers are fused from 2-bit ones: the device "bitfusion". */
import { AppError } from "../errors.ts";
import { energyNj } from "./bitfusion-energy.ts";
import { bestSchedule, type DenseConvolution, type FusionArray, productsPerUnit } from "./bitfusion-tiles.ts";
import type { Accelerator, LayerCost, LayerGeometry, Precision } from "./precision.ts";
import { createSimulated } from "./simulated.ts";

const CYCLES_PER_MS = 500_000;
const BITS = [2, 3, 4, 5, 6, 7, 8];
/** The configuration that is compared with Eyeriss. */
const ARRAY: FusionArray = { rows: 16, columns: 32, bytes: { inputs: 32_768, weights: 65_536, sums: 16_384 } };
/** A layer that reads at most as many channels is taken for a network's first. */
const IMAGE_CHANNELS = 4;

/** For depthwise layers: 8 rows, and as many channels at once as have a column, at most what the units and output memory allow. */
function depthwiseArray(precision: Precision): FusionArray {
  const rows = 8;
  const columns = Math.min(rows * productsPerUnit(precision), (ARRAY.rows * ARRAY.columns) / rows);
  const { inputs, weights, sums } = ARRAY.bytes;
  const inputShare = rows / ARRAY.rows;
  const columnShare = Math.min(1, columns / ARRAY.columns);
  return { rows, columns, bytes: { inputs: inputs * inputShare, weights, sums: sums * columnShare } };
}

/** A layer as equal dense convolutions that run one after the other. */
function denseParts(layer: LayerGeometry, precision: Precision): { count: number; convolution: DenseConvolution; array: FusionArray } {
  const { inChannels, outChannels, kernel, stride, groups, outputSize } = layer;
  const rest = { kernel, stride, outputSize, isUnrolled: groups === 1 && inChannels <= IMAGE_CHANNELS };
  if (groups > 1 && groups === inChannels && groups === outChannels) {
    const array = depthwiseArray(precision);
    const convolution = { ...rest, inChannels: array.columns, outChannels: array.columns };
    return { count: Math.ceil(groups / array.columns), convolution, array };
  }
  return { count: groups, convolution: { ...rest, inChannels: inChannels / groups, outChannels: outChannels / groups }, array: ARRAY };
}

function simulate(layer: LayerGeometry, precision: Precision): LayerCost {
  const { count, convolution, array } = denseParts(layer, precision);
  const energyOf = (schedule: Parameters<typeof energyNj>[1]) => energyNj(convolution, schedule, precision, array);
  const schedule = bestSchedule(convolution, precision, array, energyOf);
  if (!schedule) {
    const { kernel } = layer;
    throw new AppError("CONFIG", `device bitfusion: one output pixel must fit into on-chip memory, got a ${kernel.join("×")} kernel`);
  }
  return { latencyMs: (count * schedule.cycles) / CYCLES_PER_MS, energyMj: (count * energyOf(schedule)) / 1e6 };
}

/**
 * Latency and energy of one sample on BitFusion (Sharma et al., ISCA 2018) as HAQ and APQ used it: an array of 16×32 units at 500 MHz,
 * 64, 32 and 16 KB for weights, inputs and sums, 192 bits per cycle to and from DRAM.
 *
 * Computing rounds bits up to 2, 4 or 8; DRAM moves as many as there are. The array is not made for depthwise layers: each group of
 * 8 channels (16 or 32 with fewer bits) runs as a dense convolution of those channels, most of whose products are zeros. With 2-bit
 * operands it is 64, what 16×32 units can form; nothing was published to compare that with. Any other grouped convolution runs group
 * by group. The first layer's windows are unrolled; it is known by its input of at most 4 channels.
 *
 * Source: rebuilt from a description; against the 3,519 latencies and energies of APQ's table that are at hand: docs/results/simulators.md.
 */
export const createBitFusion = (): Accelerator =>
  createSimulated({ name: "bitfusion", precisions: { weightBits: BITS, activationBits: BITS, isCoupled: false }, simulate });
