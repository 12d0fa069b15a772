/** @file A genome's bits as bits of layers. */
import type { Precision } from "../hardware/precision.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import type { JointChoice } from "../space/genome.ts";
import { elasticBlocks } from "../space/subnet.ts";
import { depthwiseOf } from "../space/subnet-graph.ts";
import { fixedBits, isFixedLayer } from "./costs.ts";

/** Bits of every layer of the sub-net's graph, in the order of `layers`; layers outside the blocks as `fixedBits` says. */
export function layerBits(space: ElasticSpace, { bits }: JointChoice, layers: readonly { readonly name: string }[]): Precision[] {
  const byBlock = new Map(elasticBlocks(space).map(({ name }, i) => [name, bits[i]!]));
  return layers.map(({ name }) => {
    if (isFixedLayer(name)) return fixedBits(space);
    const block = name.split(".").slice(0, 2).join(".");
    const { pointwise, depthwise } = byBlock.get(block)!;
    return name.startsWith(depthwiseOf(block)) ? depthwise : pointwise;
  });
}
