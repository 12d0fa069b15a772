/** @file How a file stores a model's weights: as float32, sparse, or as codes of few bits. */
import type { FoldedModel } from "../graph/fold.ts";
import { isLayer, type LayerNode } from "../graph/layers.ts";
import type { QuantizedWeight, QuantizedWeights } from "../graph/quantized-weight.ts";
import type { Node, Weight } from "../graph/types.ts";
import { codeBounds, usedRange } from "../tensor/ops/quantize.ts";
import { floatTensor, int } from "./nodes.ts";
import { type PackedWeight, packWeights } from "./packed.ts";
import { DATA_TYPE, type NodeProto, type TensorProto } from "./schema.ts";
import { sparseWeight } from "./sparse.ts";

export interface StorageOptions {
  /** Store weights with many zeros so that the file is smaller. */
  readonly sparse: boolean;
  /** Codes by the weight's name before folding. */
  readonly quantized: QuantizedWeights;
}
export interface StoredParts {
  readonly tensors: readonly TensorProto[];
  readonly nodes: readonly NodeProto[];
}
export interface StoredWeights extends StoredParts {
  /** Names of the layers whose weights are integers where the layer reads them. */
  readonly integers: ReadonlySet<string>;
}

/** The codes of a weight that was multiplied by a factor per output channel; steps stay positive. */
function rescaled(quantized: QuantizedWeight, factor: ArrayLike<number> | undefined): QuantizedWeight {
  if (!factor) return quantized;
  const { codes, codebook, shape } = quantized;
  const scale = quantized.scale.map((s, o) => s * factor[o]!);
  if (codebook) return { ...quantized, scale };
  const size = codes.length / shape[0]!;
  return { ...quantized, scale: scale.map(Math.abs), codes: codes.map((code, i) => (scale[Math.floor(i / size)]! < 0 ? -code : code)) };
}

/** Bits that kernels of integers take. With fewer, a bias in steps of the products would be rounded by as much as it is large. */
const INTEGER_BITS = 8;

/** Step of the 8-bit activations that a layer reads; null when they are numbers or have fewer bits. */
function inputStep({ graph, weights }: FoldedModel, layer: LayerNode): number | null {
  const producer = graph.nodes.find(({ name }) => name === layer.inputs[0]);
  if (producer?.op !== "quantize" || producer.attrs.bits !== INTEGER_BITS) return null;
  return usedRange(weights.get(producer.params.range!)!.data) / codeBounds(producer.attrs).max;
}

/** Largest bias in steps of the products, with room for the sums it is added to. */
const LARGEST_BIAS = 2 ** 30;

/** Steps so coarse that the bias fits an int32: a channel of weights next to nothing may have a bias that outweighs them by far. */
function withRoomForBias(quantized: QuantizedWeight, bias: Weight, step: number): QuantizedWeight {
  const { codes, shape } = quantized;
  const size = codes.length / shape[0]!;
  const scale = quantized.scale.map((s, o) => Math.max(s, Math.abs(bias.data[o]!) / (LARGEST_BIAS * step)));
  const factor = (i: number) => quantized.scale[Math.floor(i / size)]! / scale[Math.floor(i / size)]!;
  return { ...quantized, scale, codes: codes.map((code, i) => Math.round(code * factor(i))) };
}

/** A bias in steps of the products it is added to, as kernels of integers read it. */
function integerBias(name: string, prefix: string, bias: Weight, step: number, scale: Float32Array): StoredParts {
  const steps = scale.map((s) => s * step);
  const codes = Int32Array.from(bias.data, (v, o) => Math.round(v / steps[o]!));
  const inputs = [`${prefix}.bias`, `${prefix}.steps`];
  return {
    tensors: [
      { name: inputs[0]!, dims: [codes.length], dataType: DATA_TYPE.int32, rawData: new Uint8Array(codes.buffer) },
      floatTensor(inputs[1]!, [codes.length], steps),
    ],
    nodes: [{ name: "", opType: "DequantizeLinear", input: inputs, output: [name], attribute: [int("axis", 0)] }],
  };
}

/** Tensors and nodes that give every parameter its name. Ranges are not parameters of the file. */
export function storeWeights(model: FoldedModel, { sparse, quantized }: StorageOptions): StoredWeights {
  const { graph, weights, scaled } = model;
  const tensors: TensorProto[] = [];
  const nodes: NodeProto[] = [];
  const packed: PackedWeight[] = [];
  const stored = new Set<string>();
  const integers = new Set<string>();
  const add = (part: StoredParts) => {
    tensors.push(...part.tensors);
    nodes.push(...part.nodes);
  };
  const codesOf = (name: string): QuantizedWeight | null => {
    const source = scaled.get(name);
    const codes = quantized.get(source?.weight ?? name);
    return codes ? rescaled(codes, source?.factor) : null;
  };
  const storeLayer = (node: LayerNode): void => {
    const name = node.params.weight!;
    const codes = stored.has(name) ? null : codesOf(name);
    if (!codes) return;
    const step = codes.codebook || codes.bits !== INTEGER_BITS ? null : inputStep(model, node);
    if (step !== null) integers.add(node.name);
    const bias = node.params.bias;
    const ownBias = step === null || bias === undefined || stored.has(bias) ? null : weights.get(bias)!;
    const fitting = ownBias ? withRoomForBias(codes, ownBias, step!) : codes;
    packed.push({ name, prefix: `w${packed.length}`, quantized: fitting, isInteger: step !== null });
    stored.add(name);
    if (!ownBias) return;
    add(integerBias(bias!, `w${packed.length - 1}`, ownBias, step!, fitting.scale));
    stored.add(bias!);
  };
  const storeRest = (node: Node): void => {
    for (const [role, name] of Object.entries(node.params)) {
      if (role === "range" || stored.has(name)) continue;
      const weight = weights.get(name)!;
      add((sparse ? sparseWeight(name, weight) : null) ?? { tensors: [floatTensor(name, weight.shape, weight.data)], nodes: [] });
      stored.add(name);
    }
  };
  for (const node of graph.nodes) {
    if (isLayer(node)) storeLayer(node);
    storeRest(node);
  }
  add(packWeights(packed));
  return { tensors, nodes, integers };
}
