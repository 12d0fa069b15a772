/** @file BitFusion: what the array, the on-chip memories and DRAM consume. */
import { type DenseConvolution, type FusionArray, type Schedule, SUM_BITS } from "./bitfusion-tiles.ts";
import type { Precision } from "./precision.ts";

/** nJ per cycle of computation, and per cycle of either kind: leakage, mostly of the memories. */
const COMPUTE_NJ = 0.4766518;
const LEAKAGE_NJ = 0.433014704;
/** nJ per bit: 15 pJ for DRAM, the rest from and to on-chip memory. A sum's access is a read and a write. */
const DRAM_NJ = 0.015;
const INPUT_WRITE_NJ = 1.137040625e-4;
const INPUT_READ_NJ = 5.9474375e-5;
const WEIGHT_WRITE_NJ = 2.891615625e-5;
const WEIGHT_READ_NJ = 2.136565625e-5;
const SUM_ACCESS_NJ = 9.250146875e-5;

/** On-chip accesses of one tile: sums stay in place while inputs and weights stream by, or weights stay and sums come again. */
function tileEnergyNj(layer: DenseConvolution, schedule: Schedule, precision: Precision, array: FusionArray): number {
  const { tile } = schedule;
  const pixels = tile.height * tile.width;
  const depth = layer.kernel[0] * layer.kernel[1] * tile.inChannels;
  /** A row of the array shares an input among its columns. */
  const inputBits = pixels * Math.ceil(tile.outChannels / array.columns) * depth * precision.activationBits;
  const weightBits = depth * tile.outChannels * precision.weightBits;
  const sumBits = pixels * tile.outChannels * SUM_BITS;
  const sumsStay = pixels * weightBits * WEIGHT_READ_NJ + sumBits * SUM_ACCESS_NJ;
  const weightsStay = weightBits * WEIGHT_READ_NJ + tile.passes * sumBits * SUM_ACCESS_NJ;
  return inputBits * INPUT_READ_NJ + Math.min(sumsStay, weightsStay);
}

/**
 * Energy of a convolution, nJ: computation and leakage by cycle, DRAM and on-chip memory by bit.
 *
 * Source: the terms are BitFusion's (Sharma et al., ISCA 2018; 45 nm), who leave leakage out. Deviation: APQ published energies of 6,567
 * layers but not how they came about. They contain leakage, and they determine the constants above; the fit is exact.
 */
export function energyNj(layer: DenseConvolution, schedule: Schedule, precision: Precision, array: FusionArray): number {
  const { cycles, computeCycles, movedBits, tiles } = schedule;
  return (
    computeCycles * COMPUTE_NJ +
    cycles * LEAKAGE_NJ +
    movedBits.inputs * (DRAM_NJ + INPUT_WRITE_NJ) +
    movedBits.weights * (DRAM_NJ + WEIGHT_WRITE_NJ) +
    movedBits.sums * (2 * DRAM_NJ + SUM_ACCESS_NJ) +
    tiles * tileEnergyNj(layer, schedule, precision, array)
  );
}
