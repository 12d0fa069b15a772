/** @file Evolution of anything: it asks for individuals to score and is told how good they are. */

import { AppError } from "../errors.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createRng, type Rng } from "../util/rng.ts";

export interface EvolutionOptions<T> {
  /** A random individual. */
  readonly sample: (rng: Rng) => T;
  readonly mutate: (parent: T, rng: Rng) => T;
  readonly crossover: (a: T, b: T, rng: Rng) => T;
  /** Whether every constraint holds; individuals that do not are drawn again. */
  readonly feasible?: (individual: T) => boolean;
  /** Equal for equal individuals: none is scored twice (default: all differ). */
  readonly key?: (individual: T) => string;
  /** Individuals of a generation (default 100). */
  readonly population?: number;
  /** Share of the population whose genes go on (default 0.25). */
  readonly parents?: number;
  /** Share of the children that are mutants (default 0.5); the others have two parents, as far as crossings give anything new. */
  readonly mutants?: number;
  /** Draws for each individual before it is given up (default 200). */
  readonly attempts?: number;
  readonly seed: number;
}

export interface Scored<T> {
  readonly individual: T;
  readonly score: number;
}

export interface Evolution<T> {
  /** Individuals to score next: a random population first, then children of the best. @throws AppError INFEASIBLE when none was found */
  ask(): readonly T[];
  /** Scores of what was asked for, in order; higher is better. */
  tell(scores: ArrayLike<number>): void;
  /** The best so far, best first: as many as there are parents. */
  best(): readonly Scored<T>[];
}

/** Draws for each child of two parents: those of parents that are alike were all seen, and mutants take their place. */
const CROSSINGS = 4;

/**
 * Keeps the best of all individuals seen; each generation are mutants of them and crossings between them, all feasible.
 * Paper: Wang et al. 2020 (APQ), arXiv:2006.08509, section 3.3.
 */
export function createEvolution<T>(options: EvolutionOptions<T>): Evolution<T> {
  const { sample, mutate, crossover, feasible = () => true, key, seed } = options;
  const { population = 100, parents = 0.25, mutants = 0.5, attempts = 200 } = options;
  const rng = createRng(seed);
  const top = Math.max(1, Math.round(parents * population));
  const seen = new Set<string>();
  let elite: Scored<T>[] = [];
  let asked: readonly T[] = [];

  /** Individuals that `draw` makes, feasible and new; fewer when luck runs out. */
  const fill = (count: number, draw: () => T, drawsOfOne = attempts): T[] => {
    const found: T[] = [];
    for (let left = count * drawsOfOne; found.length < count && left > 0; left--) {
      const individual = draw();
      if (!feasible(individual)) continue;
      const name = key?.(individual);
      if (name !== undefined && seen.has(name)) continue;
      if (name !== undefined) seen.add(name);
      found.push(individual);
    }
    return found;
  };
  const pick = () => elite[rng.int(elite.length)]!.individual;
  return {
    ask: () => {
      if (elite.length === 0) {
        asked = fill(population, () => sample(rng));
        if (asked.length === 0)
          throw new AppError(
            "INFEASIBLE",
            `evolve: some individual must be feasible, got none in ${population * attempts} draws — relax a constraint, or sample nearer to it`,
          );
      } else {
        const crossed = fill(
          population - Math.round(mutants * population),
          () => crossover(pick(), pick(), rng),
          Math.min(CROSSINGS, attempts),
        );
        asked = [...crossed, ...fill(population - crossed.length, () => mutate(pick(), rng))];
      }
      return asked;
    },
    tell: (scores) => {
      const scored = asked.map((individual, i) => ({ individual, score: scores[i]! }));
      elite = [...elite, ...scored].sort((a, b) => b.score - a.score).slice(0, top);
    },
    best: () => elite,
  };
}

export interface EvolveOptions<T> extends EvolutionOptions<T> {
  /** Scores of individuals, in order; higher is better. */
  readonly score: (individuals: readonly T[]) => ArrayLike<number> | Promise<ArrayLike<number>>;
  /** Generations after the random one (default 500). */
  readonly generations?: number;
  readonly signal?: AbortSignal;
  /** After each generation, the random one being 0. */
  readonly onGeneration?: (generation: number, best: Scored<T>) => void;
}

/** Runs an evolution to its end; the best individuals, best first. @throws AppError INFEASIBLE when no individual is feasible */
export async function evolve<T>(options: EvolveOptions<T>): Promise<readonly Scored<T>[]> {
  const { score, generations = 500, signal, onGeneration } = options;
  const evolution = createEvolution(options);
  for (let generation = 0; generation <= generations && !signal?.aborted; generation++) {
    const individuals = evolution.ask();
    if (individuals.length === 0) break;
    evolution.tell(await score(individuals));
    // a signal is heard between two turns of the event loop only
    await turnOfOthers();
    onGeneration?.(generation, evolution.best()[0]!);
  }
  return evolution.best();
}

/** The best of `count` random feasible individuals: what an evolution must beat with as many. @throws AppError INFEASIBLE */
export function randomSearch<T>(options: EvolveOptions<T> & { readonly count: number }): Promise<readonly Scored<T>[]> {
  return evolve({ ...options, population: options.count, generations: 0 });
}
