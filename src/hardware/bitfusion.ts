/** @file BitFusion, an accelerator whose multipliers are fused from 2-bit ones: the device "bitfusion". */
import { AppError } from "../errors.ts";
import { energyNj } from "./bitfusion-energy.ts";
import { bestSchedule, type DenseConvolution, type FusionArray, productsPerUnit, type Schedule } from "./bitfusion-tiles.ts";
import type { Accelerator, LayerCost, LayerGeometry, Precision } from "./precision.ts";
import { createSimulated } from "./simulated.ts";

const CYCLES_PER_MS = 500_000;
const BITS = [2, 3, 4, 5, 6, 7, 8];
/** The configuration that is compared with Eyeriss. */
const ARRAY: FusionArray = { rows: 16, columns: 32, bytes: { inputs: 32_768, weights: 65_536, sums: 16_384 } };
/** A layer that reads at most as many channels is taken for a network's first. */
const IMAGE_CHANNELS = 4;

/** For depthwise layers: half the rows, and a column for each channel of a group. */
function depthwiseArray(precision: Precision): FusionArray {
  const rows = ARRAY.rows / 2;
  const columns = Math.min(rows * productsPerUnit(precision), ARRAY.columns);
  const { inputs, weights, sums } = ARRAY.bytes;
  return { rows, columns, bytes: { inputs: inputs / 2, weights, sums: (sums * columns) / ARRAY.columns } };
}

/** A layer as equal dense convolutions that run one after the other. */
function denseParts(layer: LayerGeometry, precision: Precision): { count: number; convolution: DenseConvolution; array: FusionArray } {
  const { inChannels, outChannels, kernel, stride, groups, outputSize } = layer;
  const rest = { kernel, stride, outputSize, isUnrolled: groups === 1 && inChannels <= IMAGE_CHANNELS };
  if (groups > 1 && groups === inChannels && groups === outChannels) {
    const array = depthwiseArray(precision);
    const channels = Math.min(groups, array.columns);
    const convolution = { ...rest, inChannels: channels, outChannels: channels };
    return { count: Math.ceil(groups / array.columns), convolution, array };
  }
  return { count: groups, convolution: { ...rest, inChannels: inChannels / groups, outChannels: outChannels / groups }, array: ARRAY };
}

function simulate(layer: LayerGeometry, precision: Precision): LayerCost {
  const { count, convolution, array } = denseParts(layer, precision);
  const energyOf = (schedule: Schedule) => energyNj(convolution, schedule, precision, array);
  const schedule = bestSchedule(convolution, precision, array, energyOf);
  if (!schedule) {
    const { kernel } = layer;
    throw new AppError("CONFIG", `device bitfusion: the kernel's weights must fit into on-chip memory, got ${kernel.join("×")}`);
  }
  return { latencyMs: (count * schedule.cycles) / CYCLES_PER_MS, energyMj: (count * energyOf(schedule)) / 1e6 };
}

/**
 * Latency and energy of one sample on BitFusion (Sharma et al., ISCA 2018) as APQ used it: an array of 16×32 units at 500 MHz, 64, 32
 * and 16 KB for weights, inputs and sums, 192 bits per cycle to and from DRAM, where sums have 32 bits.
 *
 * Computing and on-chip memory round bits up to 2, 4 or 8; DRAM moves as many as there are. The array is not made for depthwise layers:
 * each group of 8 channels, or 16 or 32 with fewer bits, runs as a dense convolution of those channels, most of whose products are
 * zeros. Any other grouped convolution runs group by group. The first layer's windows are unrolled; it is known by its input of at most
 * 4 channels. For operands of 2 bits, kernels above 1×1 that are not depthwise (but for one stem) and maps that are not square nothing
 * was published; there the model is an extrapolation.
 *
 * Fewer bits do not always cost less: the model's choice is the fewest cycles, energy follows, and padding to the array grows.
 *
 * Source: rebuilt from a description. Deviations, all found in the table that APQ published (Wang et al., CVPR 2020), which this model
 * reproduces (docs/results/simulators.md): DRAM moves no padding, 6-bit operands take 8 bits on the chip, reads and writes are each
 * rounded up to cycles, depthwise layers run in groups, leakage counts.
 */
export const createBitFusion = (): Accelerator =>
  createSimulated({ name: "bitfusion", precisions: { weightBits: BITS, activationBits: BITS, isCoupled: false }, simulate });
