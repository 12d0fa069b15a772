/** @file Bytes of a quantised file by the bits of its layers. */
import { withEndingOf } from "../graph/ending.ts";
import type { Graph } from "../graph/types.ts";
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import { type PolicyCost, type QuantizableLayer, weightBytes } from "../quantize/layers.ts";
import { policyOf, type Quantization } from "../quantize/network.ts";
import type { WeightScheme } from "../quantize/weights.ts";
import { fileMetadata } from "./deploy.ts";

export interface SizedFile {
  readonly layers: readonly QuantizableLayer[];
  readonly quantization: Quantization;
  readonly scheme: WeightScheme;
  /** Whose inputs and ending the file keeps. */
  readonly original: Graph;
  /** Name of the images, which the file notes. */
  readonly data: string;
}

/** Bits of two files, of one and of both, that differ in the nodes that unpack one more number of bits. */
const [PACKED, PACKED_TOO] = [4, 3];

/**
 * Packed weights and codebooks by bits, and what is stored beside them. That differs with how a layer is stored (as floats, as 8-bit
 * integers to be computed with, or packed) and with the bits of its activations: every layer is charged what it has in a file whose layers
 * are all alike. The nodes that unpack weights are there once for each number of bits.
 */
export function quantizedSize({ layers, quantization, scheme, original, data }: SizedFile): PolicyCost {
  const packed = weightBytes(layers);
  const isInteger = ({ weightBits, activationBits }: Precision) => scheme === "linear" && weightBits === 8 && activationBits === 8;
  const isPacked = (one: Precision): boolean => one.weightBits < FLOAT_BITS && !isInteger(one);
  const books: PolicyCost = (bits) =>
    scheme === "linear"
      ? 0
      : bits.reduce((sum, one, i) => sum + (isPacked(one) ? 4 * Math.min(2 ** one.weightBits, layers[i]!.weightCount) : 0), 0);
  /** Bytes of the file without packed weights and codebooks. */
  const besides = (bits: readonly Precision[]): number => {
    using net = quantization.create(bits);
    const graph = withEndingOf(original, net.graph);
    const encoded = net.encoded();
    const codebooks = [...encoded.values()].reduce((sum, { codebook }) => sum + (codebook ? 4 * codebook.length : 0), 0);
    const metadata = fileMetadata(graph, data, policyOf(layers, bits));
    const file = exportOnnx({ graph, weights: exportWeights(net.params) }, { quantized: encoded, metadata });
    return file.length - packed(bits) - codebooks;
  };
  const alike = new Map<string, number>();
  const besidesAlike = (one: Precision): number => {
    const key = `${one.weightBits} ${one.activationBits}`;
    if (!alike.has(key)) alike.set(key, besides(layers.map(() => one)));
    return alike.get(key)!;
  };
  let chain: number | null = null;
  /** Of the nodes that unpack one more number of bits. */
  const chainBytes = (activationBits: number): number => {
    if (layers.length < 2) return 0;
    const mixed = layers.map((_, i) => ({ weightBits: i % 2 === 0 ? PACKED_TOO : PACKED, activationBits }));
    chain ??= Math.max(0, besides(mixed) - besidesAlike({ weightBits: PACKED, activationBits }));
    return chain;
  };
  const perLayer = (one: Precision): number => {
    if (!isPacked(one)) return besidesAlike(one) / layers.length;
    return (besidesAlike(one) - chainBytes(one.activationBits)) / layers.length;
  };
  return (bits) => {
    const kinds = new Set(bits.filter(isPacked).map(({ weightBits }) => weightBits)).size;
    const chains = kinds === 0 ? 0 : kinds * chainBytes(bits.find(isPacked)!.activationBits);
    return Math.round(packed(bits) + books(bits) + bits.reduce((sum, one) => sum + perLayer(one), 0) + chains);
  };
}
