/** @file The graph of a sub-net; it names the weights of the largest network that its own are parts of. */
import { createBuilder, type GraphBuilder } from "../graph/builder.ts";
import type { Graph } from "../graph/types.ts";
import type { ElasticSpace } from "./elastic.ts";
import { type ElasticBlock, elasticBlocks, type Subnet } from "./subnet.ts";

/** Convolutions of a block. */
export const expandOf = (block: string): string => `${block}.expand`;
export const depthwiseOf = (block: string): string => `${block}.depthwise`;
export const projectOf = (block: string): string => `${block}.project`;

/** One block as a network of its own, with the residual sum: what a device is asked the cost of. */
export function blockGraph(space: ElasticSpace, block: ElasticBlock, kernel: number, middle: number): Graph {
  const b = createBuilder({ name: block.name, input: [block.inChannels, ...block.inputSize], norm: space.norm });
  return b.build(addBlock(b, b.input, block, kernel, middle));
}

function addBlock(b: GraphBuilder, x: string, block: ElasticBlock, kernel: number, middle: number): string {
  const { name, inChannels, outChannels, stride, hasResidual: residual } = block;
  return b.mbconv(x, { name, outChannels, expand: middle / inChannels, kernel, stride, residual, alwaysExpand: true });
}

export function subnetGraph(space: ElasticSpace, { depths, kernels, middles }: Subnet): Graph {
  const { stem, first } = space;
  const b = createBuilder({ name: space.name, input: space.input, norm: space.norm });
  let x = b.convBn(b.input, { name: "stem", outChannels: stem.width, kernel: stem.kernel, stride: stem.stride, activation: "relu6" });
  x = b.mbconv(x, { name: "first", outChannels: first.width, expand: 1, kernel: first.kernel, stride: first.stride, residual: false });
  for (const [i, block] of elasticBlocks(space).entries()) {
    if (block.place >= depths[block.stage]!) continue;
    x = addBlock(b, x, block, kernels[i]!, middles[i]!);
  }
  x = b.convBn(x, { name: "head", outChannels: space.head.width, kernel: 1, activation: "relu6" });
  return b.build(b.classifier(x, { classes: space.classes }));
}
