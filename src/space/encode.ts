/** @file Genomes as vectors of zeros and ones, for predictors. Source: APQ's published code. */
import type { ElasticSpace } from "./elastic.ts";
import { BLOCK_GENES, createGenetics, type Genome } from "./genome.ts";
import { elasticBlocks } from "./subnet.ts";

export interface Encoding {
  /** Numbers that tell the architecture; those after them tell the bits. */
  readonly architectureSize: number;
  readonly size: number;
  /** Where the first block's kernels, middle channels and four kinds of bits begin. */
  readonly offsets: readonly number[];
  /** Writes `size` numbers from `at`: a one for every option taken by a block that is there; the rest must be 0 already. */
  write(genome: Genome, into: Float32Array, at: number): void;
}

/**
 * One-hot blocks in the order kernels of all blocks, middle channels of all blocks, then the bits of pointwise weights, pointwise
 * activations, depthwise weights, depthwise activations. Blocks that are left out are all zero, so depth needs no code of its own.
 */
export function createEncoding(space: ElasticSpace): Encoding {
  const genetics = createGenetics(space);
  const blocks = elasticBlocks(space);
  const offsets: number[] = [];
  /** By block and gene. */
  const starts = new Int32Array(blocks.length * BLOCK_GENES.length);
  let size = 0;
  let architectureSize = 0;
  for (let g = 0; g < BLOCK_GENES.length; g++) {
    offsets.push(size);
    for (let i = 0; i < blocks.length; i++) {
      starts[i * BLOCK_GENES.length + g] = size;
      size += genetics.options[genetics.blockStart(i) + g]!;
    }
    if (BLOCK_GENES[g] === "middle") architectureSize = size;
  }
  return {
    architectureSize,
    size,
    offsets,
    write: (genome, into, at) => {
      for (let i = 0; i < blocks.length; i++) {
        if (!genetics.isActive(genome, i)) continue;
        const from = genetics.blockStart(i);
        for (let g = 0; g < BLOCK_GENES.length; g++) into[at + starts[i * BLOCK_GENES.length + g]! + genome[from + g]!] = 1;
      }
    },
  };
}
