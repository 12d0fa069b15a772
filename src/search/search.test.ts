import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Rng } from "../util/rng.ts";
import { createEvolution, type EvolveOptions, evolve, randomSearch } from "./evolve.ts";
import { paretoFront } from "./pareto.ts";

const LENGTH = 40;
type Bits = readonly number[];
const ones = (bits: Bits) => bits.reduce((sum, bit) => sum + bit, 0);
/** As many ones as possible, of which at most 25 are allowed. */
const problem: EvolveOptions<Bits> = {
  sample: (rng: Rng) => Array.from({ length: LENGTH }, () => (rng.uniform() < 0.3 ? 1 : 0)),
  mutate: (bits, rng) => bits.map((bit) => (rng.uniform() < 0.05 ? 1 - bit : bit)),
  crossover: (a, b, rng) => a.map((bit, i) => (rng.uniform() < 0.5 ? bit : b[i]!)),
  feasible: (bits) => ones(bits) <= 25,
  key: (bits) => bits.join(""),
  score: (all) => all.map(ones),
  population: 30,
  generations: 40,
  seed: 1,
};

describe("evolution", () => {
  test("reaches the optimum at the constraint, and beats random search with as many individuals", async () => {
    const [best] = await evolve(problem);
    expect(best!.score).toBe(25);
    const [drawn] = await randomSearch({ ...problem, count: 30 * 41 });
    expect(drawn!.score).toBeLessThan(25);
  });

  test("same seed, same course; another seed, another", async () => {
    const course = async (seed: number) => {
      const seen: string[] = [];
      await evolve({ ...problem, seed, generations: 5, onGeneration: (_, { individual }) => seen.push(individual.join("")) });
      return seen;
    };
    expect(await course(3)).toEqual(await course(3));
    expect(await course(4)).not.toEqual(await course(3));
  });

  test("asks for feasible individuals alone, each once, and keeps the best of all", () => {
    const evolution = createEvolution(problem);
    const asked: Bits[] = [];
    for (let i = 0; i < 10; i++) {
      const batch = evolution.ask();
      asked.push(...batch);
      evolution.tell(batch.map(ones));
    }
    expect(asked.every((bits) => ones(bits) <= 25)).toBe(true);
    expect(new Set(asked.map((bits) => bits.join(""))).size).toBe(asked.length);
    const scores = evolution.best().map(({ score }) => score);
    expect(scores).toEqual(
      asked
        .map(ones)
        .sort((a, b) => b - a)
        .slice(0, scores.length),
    );
  });

  test("mutants take the place of children that parents give nothing new for", () => {
    const { population = 0 } = problem;
    const evolution = createEvolution({ ...problem, crossover: (a) => a, feasible: () => true });
    for (let generation = 0; generation < 5; generation++) {
      const asked = evolution.ask();
      expect(asked).toHaveLength(population);
      evolution.tell(asked.map(ones));
    }
  });

  test("a constraint that nothing meets is said after a bounded number of draws", async () => {
    let draws = 0;
    const sample = (rng: Rng) => {
      draws++;
      return problem.sample(rng);
    };
    await expect(evolve({ ...problem, sample, feasible: () => false, attempts: 10 })).rejects.toThrow(
      /^evolve: some individual must be feasible, got none in 300 draws — relax a constraint/,
    );
    expect(draws).toBe(300);
  });

  test("a space that is used up ends the evolution", async () => {
    const tiny: EvolveOptions<number> = {
      sample: (rng) => rng.int(4),
      mutate: (_, rng) => rng.int(4),
      crossover: (a) => a,
      key: String,
      score: (all) => [...all],
      population: 4,
      seed: 0,
    };
    const best = await evolve(tiny);
    expect(best[0]).toEqual({ individual: 3, score: 3 });
  });
});

test("a Pareto front is what nothing dominates, and everything else is dominated by it", () => {
  const points = fc.array(fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 })));
  const dominates = (a: readonly number[], b: readonly number[]) => a.every((v, i) => v >= b[i]!) && a.some((v, i) => v > b[i]!);
  fc.assert(
    fc.property(points, (all) => {
      const front = paretoFront(all, (point) => point);
      for (const point of front) expect(all.some((other) => dominates(other, point))).toBe(false);
      for (const point of all)
        expect(front.includes(point) || front.some((other) => dominates(other, point) || other.join() === point.join())).toBe(true);
      expect(new Set(front.map(String)).size).toBe(front.length);
    }),
  );
});
