/** @file Bits: what devices can compute with, and what a layer costs with them. */
import { AppError } from "../errors.ts";
import { isLayer, type LayerNode } from "../graph/layers.ts";
import { inferShapes } from "../graph/shapes.ts";
import type { Graph, Pair, SampleShape } from "../graph/types.ts";
import type { Device } from "./device.ts";

/** Bits that stand for float32. */
export const FLOAT_BITS = 32;

/** Bits of a layer's weights and of the activations that it reads; 32 is float. */
export interface Precision {
  readonly weightBits: number;
  readonly activationBits: number;
}

/** Bits that a device computes with, ascending. */
export interface PrecisionChoices {
  readonly weightBits: readonly number[];
  readonly activationBits: readonly number[];
  /** Weights and activations only with the same bits. */
  readonly isCoupled: boolean;
}

/** A convolution or linear layer as hardware sees it, one sample; a linear layer is a 1×1 convolution of one pixel. */
export interface LayerGeometry {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly groups: number;
  /** Pixels read and made. */
  readonly inputSize: Pair;
  readonly outputSize: Pair;
}

export interface LayerCost {
  readonly latencyMs: number;
  /** `null` for an accelerator whose energy nobody published. */
  readonly energyMj: number | null;
}

/** A simulated accelerator: a pure function of geometry and bits. */
export interface Accelerator extends Device {
  readonly kind: "simulated";
  readonly precisions: PrecisionChoices;
  /** Images that its latency is of, together (default 1). */
  readonly batch?: number;
  /** @throws AppError CONFIG for bits outside `precisions` */
  layerCost(layer: LayerGeometry, precision: Precision): LayerCost;
  /** Sum over the graph's layers with 8-bit weights and activations, mJ; `null` where `layerCost` has no energy. */
  energyMj(graph: Graph): Promise<number | null>;
}

export function geometryOf(node: LayerNode, input: SampleShape, output: SampleShape): LayerGeometry {
  const [inChannels = 1, h = 1, w = 1] = input;
  const [outChannels = 1, ho = 1, wo = 1] = output;
  const ends = { inChannels, outChannels, inputSize: [h, w], outputSize: [ho, wo] } as const;
  if (node.op === "linear") return { ...ends, kernel: [1, 1], stride: [1, 1], groups: 1 };
  const { kernel, stride, groups } = node.attrs;
  return { ...ends, kernel, stride, groups };
}

/** Every convolution and linear layer of a graph, in order. @throws AppError SHAPE when the graph is not valid */
export function layerGeometries(graph: Graph): { readonly node: LayerNode; readonly geometry: LayerGeometry }[] {
  const shapes = inferShapes(graph);
  return graph.nodes
    .filter(isLayer)
    .map((node) => ({ node, geometry: geometryOf(node, shapes.get(node.inputs[0]!)!, shapes.get(node.name)!) }));
}

/** Energy of a layer, mJ. @throws AppError CONFIG where nobody published the accelerator's */
export function energyMjOf({ energyMj }: LayerCost, { name }: Pick<Accelerator, "name">): number {
  if (energyMj === null) throw new AppError("CONFIG", `device: ${name} must have an energy model for an energy limit, got none`);
  return energyMj;
}
