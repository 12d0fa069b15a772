/** @file The joint search: architecture, widths and bits at once, scored by a predictor. Paper: Wang et al. 2020 (APQ), arXiv:2006.08509, section 3.3. */
import { AppError } from "../errors.ts";
import { type EvolveOptions, evolve, randomSearch, type Scored } from "../search/evolve.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { BLOCK_GENES, createGenetics, type Genome } from "../space/genome.ts";
import type { Rng } from "../util/rng.ts";
import { cheapestGenome, isWithin, type JointLimit } from "./limits.ts";
import type { Predictor } from "./predictor.ts";

export interface JointSearchOptions {
  readonly space: ElasticSpace;
  readonly predictor: Predictor;
  readonly limits: readonly JointLimit[];
  /** Bits that every block must have, as an index into the space's, for baselines of fixed bits. */
  readonly fixedBits?: number;
  readonly population?: number;
  readonly generations?: number;
  readonly seed: number;
  readonly signal?: AbortSignal;
  /** Everything that was scored, generation by generation. */
  readonly onScored?: (genomes: readonly Genome[], accuracies: Float32Array) => void;
  readonly onGeneration?: (generation: number, best: Scored<Genome>) => void;
}

const MUTATION = 0.1;
const DEFAULTS = { population: 100, generations: 500 } as const;

function problemOf({ space, predictor, limits, fixedBits, onScored, ...rest }: JointSearchOptions): EvolveOptions<Genome> {
  const genetics = createGenetics(space);
  const { options, blockStart, isBits } = genetics;
  const withFixedBits = (genome: Genome): Genome =>
    fixedBits === undefined ? genome : genome.map((option, i) => (isBits(i) ? fixedBits : option));
  const cheap = limits.map(({ cost }) => cheapestGenome(space, cost));
  /** Random genomes rarely meet a tight limit: blocks of one that costs least take the place of some of theirs, now few, now many. */
  const sample = (rng: Rng): Genome => {
    const genome = genetics.sample(rng);
    const least = cheap.length > 0 ? cheap[rng.int(cheap.length)]! : genome;
    const share = rng.uniform();
    for (let s = 0; s < space.stages.length; s++) if (rng.uniform() < share) genome[s] = least[s]!;
    for (let at = blockStart(0); at < options.length; at += BLOCK_GENES.length)
      if (rng.uniform() < share) genome.set(least.subarray(at, at + BLOCK_GENES.length), at);
    return withFixedBits(genome);
  };
  return {
    ...DEFAULTS,
    ...rest,
    sample,
    mutate: (genome, rng) => withFixedBits(genetics.mutate(genome, MUTATION, rng)),
    crossover: genetics.crossover,
    feasible: (genome) => isWithin(limits, genome),
    key: genetics.key,
    score: (genomes) => {
      const accuracies = predictor.predict(genomes);
      onScored?.(genomes, accuracies);
      return accuracies;
    },
  };
}

/** The best genomes within the limits, best first. @throws AppError INFEASIBLE when none was found */
export async function searchJointly(options: JointSearchOptions): Promise<readonly Scored<Genome>[]> {
  try {
    return await evolve(problemOf(options));
  } catch (error) {
    if (!(error instanceof AppError && error.code === "INFEASIBLE")) throw error;
    const { space, limits, fixedBits } = options;
    const bits = fixedBits === undefined ? "" : ` with ${space.bits[fixedBits]} bits`;
    const kinds = limits.map(({ kind }) => kind).join(", ");
    throw new AppError(
      "INFEASIBLE",
      `joint: a sub-net${bits} must meet all limits at once (${kinds}), got none in many draws — raise one of them`,
    );
  }
}

/** The best of as many random genomes as an evolution would score. @throws AppError INFEASIBLE */
export function searchAtRandom(options: JointSearchOptions): Promise<readonly Scored<Genome>[]> {
  const problem = problemOf(options);
  return randomSearch({ ...problem, count: problem.population! * (problem.generations! + 1) });
}
