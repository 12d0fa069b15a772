/** @file Which nodes hold weights that channels can be cut from. */
import type { Node, NodeOf } from "./types.ts";

/** A convolution or linear layer. */
export type LayerNode = NodeOf<"conv"> | NodeOf<"linear">;
export const isLayer = (node: Node): node is LayerNode => node.op === "conv" || node.op === "linear";

/** A depthwise convolution carries channels on: it neither makes nor mixes them. `channels`: of its input. */
export const isDepthwise = (node: Node, channels: number): boolean => node.op === "conv" && node.attrs.groups === channels && channels > 1;
