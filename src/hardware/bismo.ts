/** @file BISMO, an accelerator that multiplies bit by bit: the devices "bismo-edge" and "bismo-cloud". */
import { type BitSerialArray, productCycles, WORD_BITS } from "./bismo-pipeline.ts";
import type { Accelerator, LayerGeometry, Precision } from "./precision.ts";
import { createSimulated } from "./simulated.ts";

export type BismoVariant = "edge" | "cloud";

interface BismoConfig {
  readonly array: BitSerialArray;
  readonly batch: number;
  readonly cyclesPerMs: number;
}

const BITS = [1, 2, 3, 4, 5, 6, 7, 8];

/** The clocks are not published; they are what HAQ's latencies of MobileNetV2 at 4, 5, 6 and 8 bits imply, see `createBismo`. */
const CONFIGS: Record<BismoVariant, BismoConfig> = {
  edge: { array: { side: 8, cyclesPerWord: 4, memoryWords: 8192 }, batch: 1, cyclesPerMs: 125_000 },
  cloud: { array: { side: 16, cyclesPerWord: 1, memoryWords: 16_384 }, batch: 16, cyclesPerMs: 210_000 },
};

/** Cycles of a layer for the whole batch: convolutions image by image, linear layers with the batch as the vectors. */
function layerCycles(layer: LayerGeometry, precision: Precision, { array, batch }: BismoConfig): number {
  const { inChannels, outChannels, groups, outputSize } = layer;
  const vectors = outputSize[0] * outputSize[1];
  const window = layer.kernel[0] * layer.kernel[1];
  const words = (length: number) => Math.ceil(length / WORD_BITS);
  if (groups > 1 && groups === inChannels && groups === outChannels) {
    const product = { ...precision, vectors, filters: array.side, depth: words(array.side * window) };
    return batch * Math.ceil(groups / array.side) * productCycles(product, array);
  }
  const filters = outChannels / groups;
  const depth = words((inChannels / groups) * window);
  if (vectors === 1 && window === 1 && groups === 1) return productCycles({ ...precision, vectors: batch, filters, depth }, array);
  return batch * groups * productCycles({ ...precision, vectors, filters, depth }, array);
}

/**
 * Latency on BISMO (Umuroglu et al., FPL 2018) as HAQ used it: in the cloud (Xilinx VU9P, 16×16 processing elements, a batch of 16) or
 * at the edge (Zynq-7020, 8×8, a batch of 1, ports a quarter as wide, half the memory). Computing takes weight bits × activation bits
 * cycles, so every bit counts. **The cloud's latency is that of the whole batch of 16**, as in HAQ's tables.
 *
 * A depthwise layer runs as many channels at a time as the array has columns, in words most of which is zeros; any other grouped
 * convolution runs group by group. A layer that sees one pixel through a 1×1 kernel is taken for a linear one.
 *
 * Source: HAQ (Wang et al., CVPR 2019, arXiv:1811.08886). The cloud's cycles are those of its table for MobileNetV2. Its latencies of
 * that network, 74.46, 99.43, 127.07 and 189.82 ms, imply 208.8 to 211.1 MHz. The edge has no published cycles and is not validated:
 * its 52.15, 66.94, 82.49 and 115.84 ms imply 124.4 to 125.8 MHz with the first layer at 8 bits, but MobileNetV1 comes out 1 to 7% too
 * fast (docs/results/simulators.md). Nobody published an energy, so there is none.
 */
export function createBismo(variant: BismoVariant): Accelerator {
  const config = CONFIGS[variant];
  return createSimulated({
    name: `bismo-${variant}`,
    precisions: { weightBits: BITS, activationBits: BITS, isCoupled: false },
    batch: config.batch,
    simulate: (layer, precision) => ({ latencyMs: layerCycles(layer, precision, config) / config.cyclesPerMs, energyMj: null }),
  });
}
