/** @file What layers read, sampled from images: the Gram matrices that least squares needs. */

import { isDepthwise, isLayer, type LayerNode } from "../graph/layers.ts";
import type { Graph, NodeOf } from "../graph/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { runtime } from "../onednn/runtime.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, empty, fromArray, plainLayout, type Tensor, valuesOf } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";
import type { Gram } from "./reconstruct.ts";

export interface CalibrationOptions {
  readonly graph: Graph;
  readonly params: ParameterStore;
  /** Batches of normalised images. */
  readonly images: readonly Float32Array[];
  readonly rng: Rng;
  /** Positions of the result sampled per image and layer (default of the published code: 10). */
  readonly positions?: number;
}

/** Writes the patches that a convolution reads at sampled positions, one row each in the order of a weight row. */
function patches(
  node: NodeOf<"conv">,
  x: Float32Array,
  shape: readonly number[],
  positions: number,
  rng: Rng,
): { rows: number; data: Float32Array } {
  const [n, c, h, w] = shape as [number, number, number, number];
  const { kernel, stride, padding, dilation } = node.attrs;
  const extent = (size: number, before: number, after: number, axis: 0 | 1) =>
    Math.floor((size + before + after - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis]) + 1;
  const [height, width] = [extent(h, padding.top, padding.bottom, 0), extent(w, padding.left, padding.right, 1)];
  const cells = kernel[0] * kernel[1];
  const data = new Float32Array(n * positions * c * cells);
  for (let i = 0, at = 0; i < n; i++) {
    for (let p = 0; p < positions; p++) {
      const top = rng.int(height) * stride[0] - padding.top;
      const left = rng.int(width) * stride[1] - padding.left;
      for (let channel = 0; channel < c; channel++) {
        const plane = (i * c + channel) * h * w;
        for (let ky = 0; ky < kernel[0]; ky++) {
          const y = top + ky * dilation[0];
          for (let kx = 0; kx < kernel[1]; kx++, at++) {
            const column = left + kx * dilation[1];
            if (y >= 0 && y < h && column >= 0 && column < w) data[at] = x[plane + y * w + column]!;
          }
        }
      }
    }
  }
  return { rows: n * positions, data };
}

/** Takes the mean of every column away. */
function centre(x: Float32Array, rows: number): void {
  const size = x.length / rows;
  const means = new Float64Array(size);
  for (let i = 0; i < x.length; i++) means[i % size]! += x[i]! / rows;
  for (let i = 0; i < x.length; i++) x[i]! -= means[i % size]!;
}

/** gram += XᵀX, by the engine's matrix product. */
function addGram(gram: Float64Array, x: Float32Array, rows: number): void {
  using _scope = createScope();
  const size = x.length / rows;
  const matrix = fromArray([rows, size], x);
  const product = empty(plainLayout([size, size]));
  runtime().api.sgemm(
    true,
    false,
    size,
    size,
    rows,
    matrix.block.address,
    size,
    matrix.block.address,
    size,
    0,
    product.block.address,
    size,
  );
  const values = valuesOf(product);
  for (let i = 0; i < gram.length; i++) gram[i]! += values[i]!;
}

/** Numbers that one output may read where least squares are solved: 512 channels of 3×3. Larger systems take minutes and gigabytes. */
const MOST_COLUMNS = 4608;

/** Layers whose weights can be reconstructed: linear layers and convolutions without groups, up to a size. */
export function isReconstructible(node: LayerNode, channels: number): boolean {
  if (node.op === "linear") return channels <= MOST_COLUMNS;
  const { groups, kernel } = node.attrs;
  return groups === 1 && !isDepthwise(node, channels) && channels * kernel[0] * kernel[1] <= MOST_COLUMNS;
}

/**
 * Gram matrices of every layer that can be reconstructed, by name. Before batch normalisation, whose statistics are renewed, what a layer
 * loses in the mean does not matter: those are of inputs less their mean in the batch.
 */
export function collectGrams({ graph, params, images, rng, positions = 10 }: CalibrationOptions): Map<string, Gram> {
  const grams = new Map<string, Float64Array>();
  const producers = new Map(graph.nodes.map((node) => [node.name, node]));
  const isNormalised = new Set(graph.nodes.filter(({ op }) => op === "batchNorm").map(({ inputs }) => inputs[0]!));
  const size = graph.input.shape.reduce((product, n) => product * n, 1);
  for (const batch of images) {
    using _scope = createScope();
    const onInputs = (node: Graph["nodes"][number], [x]: readonly Tensor[]) => {
      if (!isLayer(node) || !isReconstructible(node, x!.shape[1]!)) return;
      const values = toArray(x!);
      const clip = producers.get(node.inputs[0]!);
      if (clip?.op === "clip")
        for (let i = 0; i < values.length; i++) values[i] = Math.min(clip.attrs.max, Math.max(clip.attrs.min, values[i]!));
      const sampled = node.op === "conv" ? patches(node, values, x!.shape, positions, rng) : { rows: x!.shape[0]!, data: values };
      const width = sampled.data.length / sampled.rows;
      const gram = grams.get(node.name) ?? new Float64Array(width * width);
      grams.set(node.name, gram);
      if (isNormalised.has(node.name)) centre(sampled.data, sampled.rows);
      addGram(gram, sampled.data, sampled.rows);
    };
    run(graph, params, fromArray([batch.length / size, ...graph.input.shape], batch), { tape: null, mode: "eval", onInputs });
  }
  return new Map([...grams].map(([name, data]) => [name, { size: Math.sqrt(data.length), data }]));
}
