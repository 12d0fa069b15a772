/** @file Bits within budgets, and the search against the exact optimum where it can be known. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inspectGraph } from "../graph/counts.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import type { Precision, PrecisionChoices } from "../hardware/precision.ts";
import { searchPolicy } from "../rl/policy-search.ts";
import { createRng } from "../util/rng.ts";
import { greedyBits, uniformCandidates, uniformPrecisions } from "./baselines.ts";
import { cheapestBits, optionOf, type PrecisionLimits, uniformBits, withinBudget } from "./budget.ts";
import { createPrecisionEnvironment, fromDecisions } from "./environment.ts";
import { bitOps, type PolicyCost, quantizableLayers, weightBytes } from "./layers.ts";

const upTo8 = [2, 3, 4, 5, 6, 7, 8];
const choices: PrecisionChoices = { weightBits: upTo8, activationBits: upTo8, isCoupled: false };
const layers = quantizableLayers(buildNetwork("mobilenet-v1:0.25", { input: [3, 32, 32], classes: 10 }));
const pinned: Precision = { weightBits: 8, activationBits: 8 };
const pins = layers.map((_, i) => (i === 0 || i === layers.length - 1 ? pinned : null));
const free = layers.map(() => null);

test("an action becomes bits as published: evenly, halves to even, within the options", () => {
  expect([0, 0.5, 1].map((a) => optionOf(upTo8, a))).toEqual([2, 5, 8]);
  expect([0, 1].map((a) => optionOf([1, ...upTo8], a))).toEqual([1, 8]);
  const share = Array.from({ length: 7000 }, (_, i) => optionOf(upTo8, (i + 0.5) / 7000)).filter((b) => b === 4).length / 7000;
  expect(share).toBeCloseTo(1 / 7, 2);
});

test("layers, weights and MACs are the graph's", () => {
  const graph = buildNetwork("mobilenet-v1:0.25", { input: [3, 32, 32], classes: 10 });
  const eight = uniformBits(free, pinned);
  expect(layers).toHaveLength(28);
  expect(bitOps(layers)(eight)).toBe(64 * inspectGraph(graph).macs);
  expect(layers.filter(({ isDepthwise }) => isDepthwise)).toHaveLength(13);
  const weights = layers.reduce((sum, { weightCount }) => sum + weightCount, 0);
  expect(weightBytes(layers)(eight)).toBe(weights);
});

/** A cost in steps, as of hardware that computes 5 to 8 bits alike. */
const stepped: PolicyCost = (bits) =>
  bits.reduce(
    (sum, { weightBits, activationBits }, i) =>
      sum + layers[i]!.macs * 2 ** Math.ceil(Math.log2(weightBits)) * 2 ** Math.ceil(Math.log2(activationBits)),
    0,
  );

describe("a budget", () => {
  test("is met from whatever bits, pins stay, and nothing more could be had within it", () => {
    const anyBits = fc.array(fc.record({ weightBits: fc.constantFrom(...upTo8), activationBits: fc.constantFrom(...upTo8) }), {
      minLength: layers.length,
      maxLength: layers.length,
    });
    for (const cost of [bitOps(layers), weightBytes(layers), stepped]) {
      const limits = { choices, pins, cost };
      const [least, most] = [cost(cheapestBits(limits)), cost(uniformBits(pins, pinned))];
      fc.assert(
        fc.property(anyBits, fc.double({ min: 0, max: 1, noNaN: true }), (bits, share) => {
          const budget = least + share * (most - least);
          const within = withinBudget(
            bits.map((p, i) => pins[i] ?? p),
            { ...limits, budget },
          );
          expect(cost(within)).toBeLessThanOrEqual(budget);
          expect([within[0], within.at(-1)]).toEqual([pinned, pinned]);
          for (const [i, pin] of pins.entries()) {
            if (pin) continue;
            for (const side of ["weightBits", "activationBits"] as const) {
              const higher = upTo8.find((b) => b > within[i]![side]);
              if (higher === undefined) continue;
              const raised = within.map((p, j) => (j === i ? { ...p, [side]: higher } : p));
              expect(cost(raised)).toBeGreaterThan(budget);
            }
          }
        }),
        { numRuns: 20 },
      );
    }
  });

  test("lowers the last layers first, activations before weights, as published", () => {
    const eight = uniformBits(pins, pinned);
    const cost = bitOps(layers);
    const within = withinBudget(eight, { choices, pins, cost, budget: cost(eight) - 1 });
    const changed = within.flatMap((p, i) => (p.weightBits < 8 || p.activationBits < 8 ? [[i, p]] : []));
    expect(changed).toEqual([[layers.length - 2, { weightBits: 8, activationBits: 7 }]]);
  });

  test("where bits are coupled and a lower one costs more, the float layer stays", () => {
    const coupled: PrecisionChoices = { weightBits: [8, 32], activationBits: [8, 32], isCoupled: true };
    const dear = (i: number) => layers[i]!.isDepthwise;
    const cost: PolicyCost = (bits) => bits.reduce((sum, { weightBits }, i) => sum + (weightBits === 32 ? 2 : dear(i) ? 3 : 1), 0);
    const float = uniformBits(free, { weightBits: 32, activationBits: 32 });
    const limits: PrecisionLimits = {
      choices: coupled,
      pins: free,
      cost,
      budget: cost(cheapestBits({ choices: coupled, pins: free, cost })),
    };
    for (const { weightBits, activationBits } of withinBudget(float, limits)) expect(weightBits).toBe(activationBits);
    expect(withinBudget(float, limits).map(({ weightBits }) => weightBits)).toEqual(layers.map((_, i) => (dear(i) ? 32 : 8)));
  });
});

test("uniform candidates are those within the budget that no other beats", () => {
  const cost = bitOps(layers);
  const budget = cost(uniformBits(pins, { weightBits: 4, activationBits: 4 }));
  const candidates = uniformCandidates({ choices, pins, cost, budget }).map((bits) => bits[1]!);
  expect(candidates).toContainEqual({ weightBits: 4, activationBits: 4 });
  expect(candidates).toContainEqual({ weightBits: 8, activationBits: 2 });
  for (const { weightBits, activationBits } of candidates) expect(weightBits * activationBits).toBeLessThanOrEqual(16);
});

test("the same bits on both sides are told for every number of bits that the choices have", () => {
  expect(uniformPrecisions(choices).map(({ weightBits }) => weightBits)).toEqual([8, 7, 6, 5, 4, 3, 2]);
  expect(uniformPrecisions(choices).every(({ weightBits, activationBits }) => weightBits === activationBits)).toBe(true);
  const weightsAlone = { weightBits: [1, 2], activationBits: [32], isCoupled: false };
  expect(uniformPrecisions(weightsAlone)).toEqual([
    { weightBits: 2, activationBits: 32 },
    { weightBits: 1, activationBits: 32 },
  ]);
});

test("an episode with the actions of some bits decides them", () => {
  const cost = bitOps(layers);
  const bits = pins.map((pin, i) => pin ?? { weightBits: 2 + (i % 7), activationBits: 8 - (i % 7) });
  const environment = createPrecisionEnvironment({ layers, choices, pins, cost, budget: cost(bits) });
  const actions = environment.actionsOf(bits);
  expect(actions).toHaveLength(2 * (layers.length - 2));
  let t = 0;
  expect(fromDecisions(environment.play(() => actions[t++]!).decisions)).toEqual(bits);
});

test("what the last step down left of the budget is given back to layers that were lowered before", () => {
  // both at 8 bits cost 48; the second goes down to 47, then the first to 42: 2 of the budget are left, the second had cost 1
  const cost: PolicyCost = ([first, second]) => 5 * first!.weightBits + second!.weightBits;
  const weightsAlone = { weightBits: upTo8, activationBits: [32], isCoupled: false };
  const asked = uniformBits([null, null], { weightBits: 8, activationBits: 32 });
  const within = withinBudget(asked, { choices: weightsAlone, pins: [null, null], cost, budget: 44 });
  expect(within.map(({ weightBits }) => weightBits)).toEqual([7, 8]);
});

describe("on an error that adds up over layers", () => {
  const few = layers.slice(1, 11);
  const rng = createRng(3);
  /** Error of b bits falls fourfold a bit; layers differ in how much they mind. */
  const weights = few.map(() => ({ weightBits: 0.4 * Math.exp(1.2 * rng.normal()), activationBits: 0.4 * Math.exp(1.2 * rng.normal()) }));
  const lossOf = (i: number, { weightBits, activationBits }: Precision) =>
    (weights[i]!.weightBits * 4 ** -(weightBits - 2) + weights[i]!.activationBits * 4 ** -(activationBits - 2)) / few.length;
  const accuracy = (bits: readonly Precision[]) => 1 - bits.reduce((sum, p, i) => sum + lossOf(i, p), 0);
  const cost = bitOps(few);
  const nothing = few.map(() => null);
  const budget = cost(uniformBits(nothing, { weightBits: 4, activationBits: 4 }));
  const limits: PrecisionLimits = { choices, pins: nothing, cost, budget };

  /** The knapsack solved exactly: of all partial policies those that no other beats in cost and loss. */
  function optimum(): number {
    let frontier = [{ cost: 0, loss: 0 }];
    for (const [i, layer] of few.entries()) {
      const options = upTo8.flatMap((weightBits) => upTo8.map((activationBits) => ({ weightBits, activationBits })));
      const all = frontier.flatMap((partial) =>
        options.map((p) => ({ cost: partial.cost + layer.macs * p.weightBits * p.activationBits, loss: partial.loss + lossOf(i, p) })),
      );
      all.sort((a, b) => a.cost - b.cost || a.loss - b.loss);
      frontier = [];
      let least = Number.POSITIVE_INFINITY;
      for (const partial of all) {
        if (partial.cost > budget || partial.loss >= least) continue;
        least = partial.loss;
        frontier.push(partial);
      }
    }
    return 1 - frontier.at(-1)!.loss;
  }

  test("the search comes within 3% of the optimum, nearer than the best uniform policy", async () => {
    const best = optimum();
    const environment = createPrecisionEnvironment({ layers: few, ...limits });
    const found = await searchPolicy({
      environment,
      reward: (judgement) => judgement.accuracy,
      evaluate: (decisions) => ({ accuracy: accuracy(fromDecisions(decisions)) }),
      episodes: 260,
      agent: { warmup: 60, hidden: 48, noiseDecay: 0.98, actorLr: 1e-3, criticLr: 1e-3 },
      seed: 2,
    });
    expect(cost(fromDecisions(found!.decisions))).toBeLessThanOrEqual(budget);
    const uniform = Math.max(...uniformCandidates(limits).map(accuracy));
    expect(found!.accuracy).toBeGreaterThan(uniform);
    expect(1 - found!.accuracy / best).toBeLessThan(0.03);
  });

  test("the greedy policy is near the optimum too, since the error is what it assumes", () => {
    const sensitivity = (i: number, side: "weightBits" | "activationBits", bits: number) => weights[i]![side] * 4 ** -(bits - 2);
    const greedy = greedyBits(limits, sensitivity);
    expect(cost(greedy)).toBeLessThanOrEqual(budget);
    expect(1 - accuracy(greedy) / optimum()).toBeLessThan(0.02);
  });
});
