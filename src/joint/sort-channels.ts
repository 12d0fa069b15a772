/** @file Middle channels in the order of their importance, so that a narrower block keeps those that matter. */
import type { ParameterStore } from "../nn/parameters.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { elasticBlocks } from "../space/subnet.ts";
import { depthwiseOf, expandOf, projectOf } from "../space/subnet-graph.ts";
import { valuesOf } from "../tensor/tensor.ts";

/** Σ over outputs of |w| that each input channel of a 1×1 convolution has. */
function importance(weight: Float32Array, outputs: number, inputs: number): Float64Array {
  const sums = new Float64Array(inputs);
  for (let o = 0; o < outputs; o++) for (let i = 0; i < inputs; i++) sums[i]! += Math.abs(weight[o * inputs + i]!);
  return sums;
}

/** Reorders equal pieces of `values`: piece i becomes what piece order[i] was; `blocks` such runs follow one another. */
function permute(values: Float32Array, order: readonly number[], piece: number, runs: number): void {
  const before = values.slice();
  for (let r = 0; r < runs; r++) {
    const start = r * order.length * piece;
    for (const [to, from] of order.entries())
      values.set(before.subarray(start + from * piece, start + (from + 1) * piece), start + to * piece);
  }
}

const NORM_ROLES = ["scale", "shift", "mean", "variance"] as const;

/**
 * Puts the middle channels of every block in the order of their importance, the largest first; the largest network computes the same.
 * Paper: Cai et al. 2020, arXiv:1908.09791, section 3.3.
 */
export function sortChannels(space: ElasticSpace, shared: ParameterStore): void {
  for (const { name, outChannels, middles } of elasticBlocks(space)) {
    const middle = middles.at(-1)!;
    const project = valuesOf(shared.get(`${projectOf(name)}.conv.weight`));
    const important = importance(project, outChannels, middle);
    const order = [...important.keys()].sort((a, b) => important[b]! - important[a]! || a - b);
    permute(project, order, 1, outChannels);
    for (const part of [expandOf(name), depthwiseOf(name)]) {
      const weight = valuesOf(shared.get(`${part}.conv.weight`));
      permute(weight, order, weight.length / middle, 1);
      for (const role of NORM_ROLES) permute(valuesOf(shared.get(`${part}.bn.${role}`)), order, 1, 1);
    }
  }
}
