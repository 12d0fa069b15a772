/** @file The graph of a sub-net; it names the weights of the largest network that its own are parts of. */
import { createBuilder } from "../graph/builder.ts";
import type { Graph } from "../graph/types.ts";
import type { ElasticSpace } from "./elastic.ts";
import { elasticBlocks, type Subnet } from "./subnet.ts";

/** Convolutions of a block. */
export const expandOf = (block: string): string => `${block}.expand`;
export const depthwiseOf = (block: string): string => `${block}.depthwise`;
export const projectOf = (block: string): string => `${block}.project`;

export function subnetGraph(space: ElasticSpace, { depths, kernels, middles }: Subnet): Graph {
  const { stem, first } = space;
  const b = createBuilder({ name: space.name, input: space.input, norm: space.norm });
  let x = b.convBn(b.input, { name: "stem", outChannels: stem.width, kernel: stem.kernel, stride: stem.stride, activation: "relu6" });
  x = b.mbconv(x, { name: "first", outChannels: first.width, expand: 1, kernel: first.kernel, stride: first.stride, residual: false });
  for (const [i, block] of elasticBlocks(space).entries()) {
    if (block.place >= depths[block.stage]!) continue;
    const expand = middles[i]! / block.inChannels;
    const { name, outChannels, stride, hasResidual: residual } = block;
    x = b.mbconv(x, { name, outChannels, expand, kernel: kernels[i]!, stride, residual, alwaysExpand: true });
  }
  x = b.convBn(x, { name: "head", outChannels: space.head.width, kernel: 1, activation: "relu6" });
  return b.build(b.classifier(x, { classes: space.classes }));
}
