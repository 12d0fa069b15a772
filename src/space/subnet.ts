/** @file Sub-nets of an elastic space: a depth for each stage, a kernel and middle channels for each block. */
import type { ElasticSpace } from "./elastic.ts";

/** A block of the largest network. */
export interface ElasticBlock {
  /** "stage2.block1"; stages and blocks count from 1. */
  readonly name: string;
  /** Counted from 0. */
  readonly stage: number;
  /** Place in its stage, counted from 0: the block is there when the stage's depth is above it. */
  readonly place: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly stride: number;
  /** Side lengths of its input, pixels. */
  readonly inputSize: readonly [height: number, width: number];
  readonly outputSize: readonly [height: number, width: number];
  readonly hasResidual: boolean;
  /** Ascending. */
  readonly middles: readonly number[];
}

/** Entries of blocks that are left out count for nothing. */
export interface Subnet {
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** Of every block of the largest network: kernel side, and channels of the depthwise convolution. */
  readonly kernels: readonly number[];
  readonly middles: readonly number[];
}

const down = (extent: number, stride: number) => Math.ceil(extent / stride);

function middlesOf({ least, most, step }: ElasticSpace["expand"], channels: number): number[] {
  const [from, to] = [Math.ceil((least * channels) / step), Math.floor((most * channels) / step)];
  return Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step);
}

const known = new WeakMap<ElasticSpace, readonly ElasticBlock[]>();

/** Every block of the largest network, in order. */
export function elasticBlocks(space: ElasticSpace): readonly ElasticBlock[] {
  let blocks = known.get(space);
  if (!blocks) {
    blocks = makeBlocks(space);
    known.set(space, blocks);
  }
  return blocks;
}

function makeBlocks({ input, stem, first, stages, expand }: ElasticSpace): ElasticBlock[] {
  const shrink = (extent: number) => down(down(extent, stem.stride), first.stride);
  let channels = first.width;
  let size = [shrink(input[1]), shrink(input[2])] as const;
  return stages.flatMap((stage, s) =>
    Array.from({ length: stage.blocks }, (_, place): ElasticBlock => {
      const stride = place === 0 ? stage.stride : 1;
      const inputSize = size;
      size = [down(size[0], stride), down(size[1], stride)];
      const inChannels = channels;
      channels = stage.width;
      return {
        name: `stage${s + 1}.block${place + 1}`,
        stage: s,
        place,
        inChannels,
        outChannels: stage.width,
        stride,
        inputSize,
        outputSize: size,
        hasResidual: stride === 1 && inChannels === stage.width,
        middles: middlesOf(expand, inChannels),
      };
    }),
  );
}

/** The network that all others are part of. */
export function largestSubnet(space: ElasticSpace): Subnet {
  const blocks = elasticBlocks(space);
  return {
    depths: space.stages.map(({ blocks: count }) => count),
    kernels: blocks.map(() => space.kernels.at(-1)!),
    middles: blocks.map(({ middles }) => middles.at(-1)!),
  };
}

/** The fewest blocks, with the smallest kernels and widths. */
export function smallestSubnet(space: ElasticSpace): Subnet {
  const blocks = elasticBlocks(space);
  return {
    depths: space.stages.map(({ leastBlocks }) => leastBlocks),
    kernels: blocks.map(() => space.kernels[0]!),
    middles: blocks.map(({ middles }) => middles[0]!),
  };
}

/** "k3m48 k7m96 | k5m80 -": stages separated by |, - for a block that is left out, m the middle channels. */
export function summariseSubnet(space: ElasticSpace, { depths, kernels, middles }: Subnet): string {
  return elasticBlocks(space)
    .map(({ stage, place }, i) => {
      const text = place < depths[stage]! ? `k${kernels[i]}m${middles[i]}` : "-";
      return i > 0 && place === 0 ? `| ${text}` : text;
    })
    .join(" ");
}
