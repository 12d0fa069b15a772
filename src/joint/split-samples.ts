/** @file Samples set aside by architecture: one that differs from a known sample in its bits alone is half known already. */
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome } from "../space/genome.ts";

/** The first architectures that make up `share` of the samples, and the rest; no architecture is in both. The order is kept. */
export function splitByArchitecture<T extends { readonly genome: Genome }>(
  space: ElasticSpace,
  samples: readonly T[],
  share: number,
): { readonly aside: T[]; readonly rest: T[] } {
  const genetics = createGenetics(space);
  const keys = samples.map(({ genome }) => JSON.stringify(genetics.decode(genome).subnet));
  const sizes = new Map<string, number>();
  for (const key of keys) sizes.set(key, (sizes.get(key) ?? 0) + 1);
  const wanted = Math.round(share * samples.length);
  const chosen = new Set<string>();
  let count = 0;
  for (const [key, size] of sizes) {
    if (count >= wanted || sizes.size - chosen.size === 1) break;
    chosen.add(key);
    count += size;
  }
  return {
    aside: samples.filter((_, i) => chosen.has(keys[i]!)),
    rest: samples.filter((_, i) => !chosen.has(keys[i]!)),
  };
}
