/** @file Samples set aside by architecture: one that differs from a known sample in its bits alone is half known already. */
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome } from "../space/genome.ts";
import type { Rng } from "../util/rng.ts";

/**
 * Random architectures that make up `share` of the samples, and the rest; no architecture is in both. The order is kept. An architecture
 * of many samples is as likely to be set aside as one of a single.
 */
export function splitByArchitecture<T extends { readonly genome: Genome }>(
  space: ElasticSpace,
  samples: readonly T[],
  share: number,
  rng: Rng,
): { readonly aside: T[]; readonly rest: T[]; readonly architecturesAside: number } {
  const genetics = createGenetics(space);
  const keys = samples.map(({ genome }) => JSON.stringify(genetics.decode(genome).subnet));
  const sizes = new Map<string, number>();
  for (const key of keys) sizes.set(key, (sizes.get(key) ?? 0) + 1);
  const wanted = Math.round(share * samples.length);
  const chosen = new Set<string>();
  let count = 0;
  for (const key of rng.shuffle([...sizes.keys()])) {
    if (count >= wanted || sizes.size - chosen.size === 1) break;
    chosen.add(key);
    count += sizes.get(key)!;
  }
  return {
    aside: samples.filter((_, i) => chosen.has(keys[i]!)),
    rest: samples.filter((_, i) => !chosen.has(keys[i]!)),
    architecturesAside: chosen.size,
  };
}
