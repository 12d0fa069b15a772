/** @file What a policy of bits decides about, and what it costs. */
import { isDepthwise } from "../graph/layers.ts";
import type { Graph } from "../graph/types.ts";
import { type Accelerator, energyMjOf, type LayerGeometry, layerGeometries, type Precision } from "../hardware/precision.ts";

/** A layer whose weights and activations get bits. */
export interface QuantizableLayer {
  readonly name: string;
  /** Its weight tensor, and how many weights that has. */
  readonly weight: string;
  readonly weightCount: number;
  readonly isDepthwise: boolean;
  readonly isLinear: boolean;
  readonly geometry: LayerGeometry;
  readonly macs: number;
}

/** Every convolution and linear layer in execution order; of layers that share a weight the first. @throws AppError SHAPE */
export function quantizableLayers(graph: Graph): QuantizableLayer[] {
  const seen = new Set<string>();
  return layerGeometries(graph).flatMap(({ node, geometry }): QuantizableLayer[] => {
    const weight = node.params.weight!;
    if (seen.has(weight)) return [];
    seen.add(weight);
    const { inChannels, outChannels, kernel, groups, outputSize } = geometry;
    const weightCount = (outChannels * inChannels * kernel[0] * kernel[1]) / groups;
    const macs = weightCount * outputSize[0] * outputSize[1];
    const isLinear = node.op === "linear";
    return [{ name: node.name, weight, weightCount, isDepthwise: isDepthwise(node, inChannels), isLinear, geometry, macs }];
  });
}

/** Cost of a whole network by the bits of its layers. */
export type PolicyCost = (bits: readonly Precision[]) => number;

/** Sums what each layer costs; every number of bits is looked up once. */
function summed(layers: readonly QuantizableLayer[], of: (layer: QuantizableLayer, precision: Precision) => number): PolicyCost {
  const tables = layers.map(() => new Map<number, number>());
  return (bits) => {
    let total = 0;
    for (let i = 0; i < layers.length; i++) {
      const { weightBits, activationBits } = bits[i]!;
      const key = 64 * weightBits + activationBits;
      let cost = tables[i]!.get(key);
      if (cost === undefined) {
        cost = of(layers[i]!, bits[i]!);
        tables[i]!.set(key, cost);
      }
      total += cost;
    }
    return total;
  };
}

export const acceleratorLatency = (layers: readonly QuantizableLayer[], device: Accelerator): PolicyCost =>
  summed(layers, ({ geometry }, precision) => device.layerCost(geometry, precision).latencyMs);
/** @throws AppError CONFIG when nothing is known of the device's energy */
export const acceleratorEnergy = (layers: readonly QuantizableLayer[], device: Accelerator): PolicyCost =>
  summed(layers, ({ geometry }, precision) => energyMjOf(device.layerCost(geometry, precision), device));
/** Bytes of packed weights; codebooks, steps, biases and the graph come on top. */
export const weightBytes = (layers: readonly QuantizableLayer[]): PolicyCost =>
  summed(layers, ({ weightCount }, { weightBits }) => Math.ceil((weightCount * weightBits) / 8));
/** Σ MACs · weight bits · activation bits. */
export const bitOps = (layers: readonly QuantizableLayer[]): PolicyCost =>
  summed(layers, ({ macs }, { weightBits, activationBits }) => macs * weightBits * activationBits);
