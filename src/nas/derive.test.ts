import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createRng } from "../util/rng.ts";
import { type CostTable, costOf, expectedCost, feasibility } from "./costs.ts";
import { meanEntropy, mostProbable, mostProbableWithin } from "./derive.ts";
import { softmax } from "./gates.ts";
import { type CostLossName, costLoss, nextMultiplier } from "./losses.ts";

/** A small table with its probabilities, and every architecture of it. */
const problems = fc.integer({ min: 0, max: 2 ** 31 - 1 }).map((seed) => {
  const rng = createRng(seed);
  const perChoice = Array.from({ length: 4 }, () => Array.from({ length: 2 + rng.int(3) }, () => rng.uniform()));
  const table: CostTable = { fixed: rng.uniform(), perChoice };
  const probabilities = perChoice.map((row) => softmax(Float64Array.from(row, () => 2 * rng.normal())));
  let all: number[][] = [[]];
  for (const row of perChoice) all = all.flatMap((prefix) => [...row.keys()].map((choice) => [...prefix, choice]));
  return { table, probabilities, all };
});
const probabilityOf = (probabilities: readonly Float64Array[], architecture: readonly number[]) =>
  architecture.reduce((product, choice, b) => product * probabilities[b]![choice]!, 1);

test("the expected cost is the mean over all architectures", () => {
  fc.assert(
    fc.property(problems, ({ table, probabilities, all }) => {
      const bruteForce = all.reduce(
        (sum, architecture) => sum + probabilityOf(probabilities, architecture) * costOf(table, architecture),
        0,
      );
      expect(expectedCost(table, probabilities)).toBeCloseTo(bruteForce, 10);
    }),
  );
});

test("the most probable architecture within a budget is the best of all that fit", () => {
  fc.assert(
    fc.property(problems, fc.double({ min: 0, max: 1, noNaN: true }), ({ table, probabilities, all }, at) => {
      const { minimum, maximum } = feasibility(table, 0, createRng(1), 1);
      const budget = minimum + at * (maximum - minimum);
      const found = mostProbableWithin(probabilities, table, budget)!;
      const best = Math.max(...all.filter((one) => costOf(table, one) <= budget + 1e-12).map((one) => probabilityOf(probabilities, one)));
      expect(costOf(table, found)).toBeLessThanOrEqual(budget * (1 + 1e-9));
      expect(probabilityOf(probabilities, found)).toBeCloseTo(best, 12);
    }),
  );
});

test("a budget below the minimum gives nothing, a generous one the most probable choices", () => {
  fc.assert(
    fc.property(problems, ({ table, probabilities }) => {
      const { minimum, maximum } = feasibility(table, 0, createRng(1), 1);
      expect(mostProbableWithin(probabilities, table, 0.99 * minimum)).toBeNull();
      expect(mostProbableWithin(probabilities, table, maximum)).toEqual(mostProbable(probabilities));
      const cheapest = table.perChoice.map((costs) => costs.indexOf(Math.min(...costs)));
      expect(costOf(table, cheapest)).toBeCloseTo(minimum, 12);
    }),
  );
});

test("feasibility counts the share of random architectures within the budget", () => {
  const table: CostTable = {
    fixed: 0,
    perChoice: [
      [0, 1],
      [0, 1],
    ],
  };
  expect(feasibility(table, 1, createRng(1), 4000).share).toBeCloseTo(0.75, 1);
  expect(feasibility(table, 2, createRng(1)).share).toBe(1);
});

test("entropy is ln n when undecided and 0 when decided", () => {
  expect(meanEntropy([softmax(new Float64Array(6)), softmax(new Float64Array(6))])).toBeCloseTo(Math.log(6), 12);
  expect(meanEntropy([Float64Array.of(1, 0, 0)])).toBe(0);
});

describe.each(["constraint", "lambda_E", "add_linear", "mul_log"] as const)("loss %s", (name: CostLossName) => {
  const at = (ce: number, cost: number, target: number, isLatency: boolean) =>
    costLoss(ce, cost, target, isLatency, { name, lambda: name === "lambda_E" ? 0.3 / target : 0.3 });
  test("its derivatives are those of its value", () => {
    const cases = fc.record({
      ce: fc.double({ min: 0.1, max: 3, noNaN: true }),
      ratio: fc.double({ min: 0.3, max: 3, noNaN: true }),
      isLatency: fc.boolean(),
    });
    fc.assert(
      fc.property(cases, ({ ce, ratio, isLatency }) => {
        const target = isLatency ? 0.4 : 6e6;
        const cost = ratio * target;
        if (name === "constraint" && Math.abs(0.3 + 3 * (ratio - 1)) < 1e-2) return; // where the penalty begins
        const h = 1e-5;
        const { byCrossEntropy, byCost } = at(ce, cost, target, isLatency);
        const slope = (f: (t: number) => number) => (f(h) - f(-h)) / (2 * h);
        expect(slope((t) => at(ce + t, cost, target, isLatency).value)).toBeCloseTo(byCrossEntropy, 5);
        expect(slope((t) => at(ce, cost + t * target, target, isLatency).value) / target).toBeCloseTo(byCost, isLatency ? 4 : 9);
      }),
    );
  });
  test("a dearer network is never cheaper to the loss", () => {
    expect(at(1, 0.5, 0.4, true).byCost).toBeGreaterThan(0);
    expect(at(1, 0.5, 0.4, true).byCrossEntropy).toBeGreaterThan(0);
  });
});

test("the constraint stops pushing well below the limit; its weight follows what is missing", () => {
  expect(costLoss(1, 0.1, 0.4, true, { name: "constraint", lambda: 0.3 }).byCost).toBe(0);
  expect(nextMultiplier(0.3, 0.5, 0.4)).toBeGreaterThan(0.3);
  expect(nextMultiplier(0.3, 0.3, 0.4)).toBeLessThan(0.3);
  expect(nextMultiplier(0.001, 0.01, 0.4)).toBe(0);
});
