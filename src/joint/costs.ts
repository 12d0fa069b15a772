/** @file What a genome costs: sums of table entries, one for the pointwise and one for the depthwise convolutions of each block. */
import {
  type Accelerator,
  energyMjOf,
  FLOAT_BITS,
  type LayerCost,
  type LayerGeometry,
  layerGeometries,
  type Precision,
} from "../hardware/precision.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome } from "../space/genome.ts";
import { type ElasticBlock, elasticBlocks, smallestSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";

/** In the unit of what is counted. */
export type GenomeCost = (genome: Genome) => number;
/** What one layer costs. */
export type LayerCostOf = (layer: LayerGeometry, precision: Precision) => number;

/** Bits of the layers outside the blocks: 8, or float where the blocks are. */
export function fixedBits({ bits }: ElasticSpace): Precision {
  const own = bits.includes(FLOAT_BITS) ? FLOAT_BITS : 8;
  return { weightBits: own, activationBits: own };
}
/** The same space without a choice of bits, for devices that compute with floats. */
export const floatSpace = (space: ElasticSpace): ElasticSpace => ({ ...space, bits: [FLOAT_BITS] });
/** Whether a layer belongs to no block. */
export const isFixedLayer = (name: string): boolean => !name.startsWith("stage");

/** The layers of every sub-net that no gene touches: stem, first block, head, classifier. */
export function fixedLayers(space: ElasticSpace): { readonly name: string; readonly geometry: LayerGeometry }[] {
  return layerGeometries(subnetGraph(space, smallestSubnet(space)))
    .filter(({ node }) => isFixedLayer(node.name))
    .map(({ node, geometry }) => ({ name: node.name, geometry }));
}

function expandGeometry({ inChannels, inputSize }: ElasticBlock, middle: number): LayerGeometry {
  return { inChannels, outChannels: middle, kernel: [1, 1], stride: [1, 1], groups: 1, inputSize, outputSize: inputSize };
}
function projectGeometry({ outChannels, outputSize }: ElasticBlock, middle: number): LayerGeometry {
  return { inChannels: middle, outChannels, kernel: [1, 1], stride: [1, 1], groups: 1, inputSize: outputSize, outputSize };
}
function depthwiseGeometry({ stride, inputSize, outputSize }: ElasticBlock, middle: number, kernel: number): LayerGeometry {
  return {
    inChannels: middle,
    outChannels: middle,
    kernel: [kernel, kernel],
    stride: [stride, stride],
    groups: middle,
    inputSize,
    outputSize,
  };
}

/** The sum of what its layers cost; a layer is asked for once, when a genome first has it. Genes of a block stand as `BLOCK_GENES` says. */
export function sumOfLayers(space: ElasticSpace, costOf: LayerCostOf): GenomeCost {
  const { kernels, bits } = space;
  const genetics = createGenetics(space);
  const blocks = elasticBlocks(space);
  const fixed = fixedLayers(space).reduce((sum, { geometry }) => sum + costOf(geometry, fixedBits(space)), 0);
  const n = bits.length;
  const unknown = (size: number) => new Float64Array(size).fill(Number.NaN);
  const pointwise = blocks.map(({ middles }) => unknown(middles.length * n * n));
  const depthwise = blocks.map(({ middles }) => unknown(kernels.length * middles.length * n * n));
  const precision = (weight: number, activation: number): Precision => ({ weightBits: bits[weight]!, activationBits: bits[activation]! });
  return (genome) => {
    let total = fixed;
    for (let i = 0; i < blocks.length; i++) {
      if (!genetics.isActive(genome, i)) continue;
      const at = genetics.blockStart(i);
      const kernel = genome[at]!;
      const middle = genome[at + 1]!;
      const p = (middle * n + genome[at + 2]!) * n + genome[at + 3]!;
      const d = ((kernel * blocks[i]!.middles.length + middle) * n + genome[at + 4]!) * n + genome[at + 5]!;
      if (Number.isNaN(pointwise[i]![p]!)) {
        const channels = blocks[i]!.middles[middle]!;
        const own = precision(genome[at + 2]!, genome[at + 3]!);
        pointwise[i]![p] = costOf(expandGeometry(blocks[i]!, channels), own) + costOf(projectGeometry(blocks[i]!, channels), own);
      }
      if (Number.isNaN(depthwise[i]![d]!)) {
        const geometry = depthwiseGeometry(blocks[i]!, blocks[i]!.middles[middle]!, kernels[kernel]!);
        depthwise[i]![d] = costOf(geometry, precision(genome[at + 4]!, genome[at + 5]!));
      }
      total += pointwise[i]![p]! + depthwise[i]![d]!;
    }
    return total;
  };
}

const weightCount = ({ inChannels, outChannels, kernel, groups }: LayerGeometry): number =>
  (inChannels * outChannels * kernel[0] * kernel[1]) / groups;
const macsOf = (layer: LayerGeometry): number => weightCount(layer) * layer.outputSize[0] * layer.outputSize[1];

/** Bytes in the file besides packed weights: for each output channel a bias and a step, for each layer its nodes. */
const BYTES_PER_CHANNEL = 8;
const BYTES_PER_LAYER = 900;

/** Costs that no device is needed for. */
export const counted = {
  macs: (layer) => macsOf(layer),
  bitops: (layer, { weightBits, activationBits }) => macsOf(layer) * weightBits * activationBits,
  size: (layer, { weightBits }) =>
    Math.ceil((weightCount(layer) * weightBits) / 8) + BYTES_PER_CHANNEL * layer.outChannels + BYTES_PER_LAYER,
} as const satisfies Record<string, LayerCostOf>;

/** @throws AppError CONFIG for energy where nobody published the device's */
export function acceleratorCost(device: Accelerator, of: keyof LayerCost): LayerCostOf {
  return (layer, precision) => {
    const cost = device.layerCost(layer, precision);
    return of === "latencyMs" ? cost.latencyMs : energyMjOf(cost, device);
  };
}
