/** @file Samples set aside by architecture: one that differs from a known sample in its bits alone is half known already. */
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome } from "../space/genome.ts";
import { summariseSubnet } from "../space/subnet.ts";
import type { Rng } from "../util/rng.ts";

type Sample = { readonly genome: Genome };

/** Some samples, and those that they were set aside from. */
export interface Fold<T> {
  readonly aside: readonly T[];
  readonly rest: readonly T[];
}

/** What tells architectures apart: blocks that are left out do not. */
function architecturesOf(space: ElasticSpace, samples: readonly Sample[]): string[] {
  const genetics = createGenetics(space);
  return samples.map(({ genome }) => summariseSubnet(space, genetics.decode(genome).subnet));
}

const sizesOf = (architectures: readonly string[]): Map<string, number> => {
  const sizes = new Map<string, number>();
  for (const one of architectures) sizes.set(one, (sizes.get(one) ?? 0) + 1);
  return sizes;
};

/**
 * Random architectures that make up `share` of the samples, and the rest; no architecture is in both. The order is kept. An architecture
 * of many samples is as likely to be set aside as one of a single.
 */
export function splitByArchitecture<T extends Sample>(space: ElasticSpace, samples: readonly T[], share: number, rng: Rng): Fold<T> {
  const keys = architecturesOf(space, samples);
  const sizes = sizesOf(keys);
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
  };
}

/**
 * The samples in `count` parts of about equal size, each set aside from the rest once; no architecture is in two. Fewer parts where there are
 * fewer architectures, none of a single one.
 */
export function foldsByArchitecture<T extends Sample>(space: ElasticSpace, samples: readonly T[], count: number, rng: Rng): Fold<T>[] {
  const keys = architecturesOf(space, samples);
  const sizes = sizesOf(keys);
  if (sizes.size < 2) return [];
  const parts = Array.from({ length: Math.min(count, sizes.size) }, () => ({ size: 0, keys: new Set<string>() }));
  // the largest first, so that the parts come out alike
  for (const key of rng.shuffle([...sizes.keys()]).sort((a, b) => sizes.get(b)! - sizes.get(a)!)) {
    const smallest = parts.reduce((a, b) => (b.size < a.size ? b : a));
    smallest.keys.add(key);
    smallest.size += sizes.get(key)!;
  }
  return parts.map(({ keys: own }) => ({
    aside: samples.filter((_, i) => own.has(keys[i]!)),
    rest: samples.filter((_, i) => !own.has(keys[i]!)),
  }));
}
