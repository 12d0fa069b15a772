/** @file Sub-nets that are not variations of one another. */
import type { ElasticSpace } from "../space/elastic.ts";
import { BLOCK_GENES, createGenetics, type Genome } from "../space/genome.ts";
import { elasticBlocks } from "../space/subnet.ts";

/** Blocks by which two of them differ at least. */
const LEAST_DIFFERENCE = 5;

/** Blocks by which two sub-nets differ, in bits too; one that only one of them has counts. */
export function differingBlocks(space: ElasticSpace, a: Genome, b: Genome): number {
  const { blockStart, isActive } = createGenetics(space);
  const blockOf = (genome: Genome, i: number) =>
    isActive(genome, i) ? genome.subarray(blockStart(i), blockStart(i) + BLOCK_GENES.length).join() : "";
  return elasticBlocks(space).filter((_, i) => blockOf(a, i) !== blockOf(b, i)).length;
}

/**
 * The first of `best` of which no two are nearly the same, as far as there are such: what a predictor thinks too much of, it does of all
 * that are like it.
 */
export function unlike<T extends { readonly genome: Genome }>(space: ElasticSpace, best: readonly T[], count: number): T[] {
  const picked: T[] = [];
  for (const one of best) {
    if (picked.length === count) break;
    if (picked.every(({ genome }) => differingBlocks(space, genome, one.genome) >= LEAST_DIFFERENCE)) picked.push(one);
  }
  return [...picked, ...best.filter((one) => !picked.includes(one)).slice(0, count - picked.length)];
}
