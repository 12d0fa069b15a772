/** @file What is left of the limits, spent on bits: more lose nothing, and a predictor does not know which are free on a device. */
import type { ElasticSpace } from "../space/elastic.ts";
import { BLOCK_GENES, createGenetics, type Genome } from "../space/genome.ts";
import { elasticBlocks } from "../space/subnet.ts";
import { isWithin, type JointLimit } from "./limits.ts";

/** Raises bits of the blocks that are there, one option at a time, fewest first, as long as all limits hold. */
export function withBitsRaised(space: ElasticSpace, limits: readonly JointLimit[], genome: Genome): Genome {
  const { options, blockStart, isActive, isBits } = createGenetics(space);
  const raised = genome.slice();
  const genes = elasticBlocks(space).flatMap((_, i) =>
    isActive(genome, i) ? BLOCK_GENES.map((_, g) => blockStart(i) + g).filter((gene) => isBits(gene)) : [],
  );
  const open = new Set(genes.filter((gene) => raised[gene]! + 1 < options[gene]!));
  while (open.size > 0) {
    const least = [...open].reduce((a, b) => (raised[b]! < raised[a]! ? b : a));
    raised[least]!++;
    const isRaised = isWithin(limits, raised);
    if (!isRaised) raised[least]!--;
    if (!isRaised || raised[least]! + 1 === options[least]!) open.delete(least);
  }
  return raised;
}
