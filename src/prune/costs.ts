/** @file What a network costs when each group keeps so many channels, without building it. */

import { isDepthwise, isLayer, type LayerNode } from "../graph/layers.ts";
import { inferShapes } from "../graph/shapes.ts";
import type { Graph, SampleShape } from "../graph/types.ts";
import type { Coupling } from "./coupling.ts";
import type { ChannelGroup } from "./groups.ts";

/** Channels of one side of a layer: a fixed number, and so many per atom kept of some groups. */
export interface Width {
  readonly fixed: number;
  readonly perAtom: readonly { readonly group: number; readonly channels: number }[];
}
export interface LayerShape {
  readonly node: LayerNode;
  readonly input: SampleShape;
  readonly output: SampleShape;
  readonly isDepthwise: boolean;
  readonly widthIn: Width;
  readonly widthOut: Width;
}
/** Cost of a whole network by the atoms that each group keeps; fractions are allowed. */
export type CostOf = (kept: ArrayLike<number>) => number;

/** The width of a value by the atoms of its channels. */
export function widthOf(atoms: Int32Array, groups: readonly ChannelGroup[]): Width {
  const perAtom = groups.flatMap(({ atoms: members }, group) => {
    const own = new Set(members);
    const channels = atoms.filter((atom) => own.has(atom)).length;
    return channels > 0 ? [{ group, channels: channels / members.length }] : [];
  });
  return { fixed: atoms.length - perAtom.reduce((sum, { group, channels }) => sum + channels * groups[group]!.atoms.length, 0), perAtom };
}

export const widthAt = ({ fixed, perAtom }: Width, kept: ArrayLike<number>): number =>
  perAtom.reduce((sum, { group, channels }) => sum + channels * kept[group]!, fixed);

/** Every convolution and linear layer with what its widths depend on. `groups`: those that can be pruned. */
export function layerShapes(graph: Graph, { atomsOf }: Coupling, groups: readonly ChannelGroup[]): LayerShape[] {
  const shapes = inferShapes(graph);
  return graph.nodes.filter(isLayer).map((node) => {
    const input = node.inputs[0]!;
    const atomsIn = atomsOf.get(input)!;
    return {
      node,
      input: shapes.get(input)!,
      output: shapes.get(node.name)!,
      isDepthwise: isDepthwise(node, atomsIn.length),
      widthIn: widthOf(atomsIn, groups),
      widthOut: widthOf(atomsOf.get(node.name)!, groups),
    };
  });
}

/** Adds up what each layer costs at its widths. */
export function sumOverLayers(
  layers: readonly LayerShape[],
  costOf: (layer: LayerShape, channelsIn: number, channelsOut: number) => number,
): CostOf {
  return (kept) => layers.reduce((sum, layer) => sum + costOf(layer, widthAt(layer.widthIn, kept), widthAt(layer.widthOut, kept)), 0);
}

/** Weights that one input channel and one output channel share. */
function cells({ node, isDepthwise: depthwise }: LayerShape, channelsIn: number): number {
  if (node.op === "linear") return channelsIn;
  const { kernel, groups } = node.attrs;
  return kernel[0] * kernel[1] * (depthwise ? 1 : channelsIn / groups);
}

/** Multiply-accumulates of one sample. */
export const layerMacs = (layer: LayerShape, channelsIn: number, channelsOut: number): number =>
  channelsOut * cells(layer, channelsIn) * layer.output.slice(1).reduce((product, n) => product * n, 1);

/** Weights and biases. */
export const layerParams = (layer: LayerShape, channelsIn: number, channelsOut: number): number =>
  channelsOut * (cells(layer, channelsIn) + (layer.node.attrs.hasBias ? 1 : 0));
