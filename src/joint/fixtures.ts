/** @file A small elastic space for tests. */
import type { ElasticSpace } from "../space/elastic.ts";

export const tinySpace: ElasticSpace = {
  name: "tiny-elastic",
  input: [3, 16, 16],
  classes: 2,
  stem: { width: 8, kernel: 3, stride: 2 },
  first: { width: 8, kernel: 3, stride: 1 },
  stages: [
    { width: 8, blocks: 2, leastBlocks: 1, stride: 1 },
    { width: 16, blocks: 2, leastBlocks: 1, stride: 2 },
  ],
  kernels: [3, 5, 7],
  expand: { least: 2, most: 4, step: 8 },
  bits: [4, 6, 8],
  head: { width: 16 },
  norm: { epsilon: 1e-3, momentum: 0.1 },
};
