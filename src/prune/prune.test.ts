/** @file Budgets, reconstruction, policies and the search itself. */
import { describe, expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { inspectGraph } from "../graph/counts.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { type Judgement, searchPolicy } from "../rl/policy-search.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray, valuesOf } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { type Rounding, roundedCount } from "./budget.ts";
import { layerParams, sumOverLayers } from "./costs.ts";
import { analyse, channelsPerMember, createEnvironment, groupSizes, macsCost, memberSteps, type Prunable } from "./environment.ts";
import { rankAtoms } from "./importance.ts";
import { RULES, randomPolicy, rulePolicy } from "./policies.ts";
import { createPruner } from "./pruner.ts";
import { reconstruct } from "./reconstruct.ts";
import { rewardOf } from "./reward.ts";
import { removeChannels } from "./surgery.ts";

const small = { input: [3, 32, 32], classes: 10 };
const strict: Rounding = { step: 1, lowest: 0.2, isStrict: true };

/** Atoms to remove so that each group keeps its first `kept` ones. */
const removedFor = ({ groups }: Prunable, kept: readonly number[]) => new Set(groups.flatMap(({ atoms }, g) => [...atoms.slice(kept[g]!)]));

describe("the action bound", () => {
  /** Golden values computed from the published code, MobileNetV1 at 50% of its MACs. */
  test.each([
    [1, [32, 64, 128, 128, 256, 256, 512, 368, 104, 104, 104, 104, 208, 208], 0.50106],
    [0.7, [24, 48, 96, 96, 184, 184, 360, 360, 360, 360, 360, 360, 720, 352], 0.50025],
    [0.5, [16, 32, 64, 64, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512], 0.26286],
    [0.2, [8, 16, 32, 32, 56, 56, 104, 104, 104, 104, 104, 104, 208, 208], 0.05654],
  ])("gives the published channels for a constant action of %d", (action, expected, ratio) => {
    const prunable = analyse(buildNetwork("mobilenet-v1", { input: [3, 224, 224], classes: 1000 }));
    const cost = macsCost(prunable);
    const total = cost(groupSizes(prunable));
    const rounding: Rounding = { step: 8, lowest: 0.2, isStrict: false };
    const { decisions: kept } = createEnvironment({ prunable, cost, budget: total / 2, rounding }).play(() => action);
    expect(kept).toEqual(expected);
    expect(cost(kept) / total).toBeCloseTo(ratio, 4);
  });

  test("keeps every policy within the budget when it is strict, and uses most of it", () => {
    for (const [name, step] of [
      ["plain-20", 1],
      ["resnet-20-b", 8],
      ["mobilenet-v2:0.35", 8],
    ] as const) {
      const prunable = analyse(buildNetwork(name, small));
      const cost = macsCost(prunable);
      const budget = 0.5 * cost(groupSizes(prunable));
      const options = { prunable, cost, budget, rounding: { ...strict, step } };
      const rng = createRng(1);
      for (let i = 0; i < 50; i++) expect(cost(randomPolicy(options, rng))).toBeLessThanOrEqual(budget);
      const eager = createEnvironment(options).play(() => 1).decisions;
      expect(cost(eager)).toBeGreaterThan(0.9 * budget);
      for (const rule of RULES) expect(cost(rulePolicy(rule, options)!)).toBeLessThanOrEqual(budget);
      for (let i = 0; i < 20; i++) {
        const share = cost(createEnvironment(options).play(() => rng.uniform()).decisions) / budget;
        expect(share).toBeLessThanOrEqual(1);
        expect(share).toBeGreaterThan(0.93); // actions are proportions: a modest agent wastes nothing
      }
    }
  });

  test("random policies use the budget, rules that cannot meet it say so, and a free actor uses all of it on residual streams", () => {
    const prunable = analyse(buildNetwork("resnet-20", small));
    const [cost, sizes] = [macsCost(prunable), groupSizes(prunable)];
    const budget = 0.5 * cost(sizes);
    const rng = createRng(3);
    for (let i = 0; i < 20; i++) {
      const share = cost(randomPolicy({ prunable, cost, budget, rounding: strict }, rng)) / budget;
      expect(share).toBeLessThanOrEqual(1);
      expect(share).toBeGreaterThan(0.95);
    }
    expect(rulePolicy("deep", { prunable, cost, budget: 0.05 * cost(sizes), rounding: strict })).toBeNull();
    const eager = createEnvironment({ prunable, cost, budget, rounding: strict }).play(() => 1).decisions;
    expect(cost(eager)).toBeGreaterThan(0.97 * budget);
  });

  test("rounds channels as published", () => {
    expect([
      roundedCount(64, 0.5, 8),
      roundedCount(64, 0.51, 8),
      roundedCount(20, 1, 8),
      roundedCount(20, 0.9, 8),
      roundedCount(5, 0.2, 8),
    ]).toEqual([32, 40, 20, 16, 5]);
  });
});

test("steps are of channels also where a member of a group is several, as in grouped convolutions", () => {
  const b = createBuilder({ name: "grouped", input: [3, 8, 8] });
  const wide = b.conv(b.input, { name: "wide", outChannels: 64, kernel: 1, bias: true });
  const grouped = b.conv(wide, { name: "grouped", outChannels: 64, kernel: 3, groups: 8, bias: true });
  const prunable = analyse(b.build(b.classifier(grouped, { classes: 4 })));
  const channels = channelsPerMember(prunable);
  expect(channels).toContain(8);
  for (const [g, steps] of memberSteps(prunable, 16).entries()) expect((steps * channels[g]!) % 16).toBe(0);
  const rounding: Rounding = { step: 16, steps: memberSteps(prunable, 16), lowest: 0.2, isStrict: true };
  const [sizes, cost] = [groupSizes(prunable), macsCost(prunable)];
  const kept = rulePolicy("uniform", { prunable, cost, budget: 0.6 * cost(sizes), rounding })!;
  expect(kept.every((count, g) => count < sizes[g]!)).toBe(true);
});

test.each(["plain-20", "resnet-20", "resnet-20-b", "mobilenet-v2:0.35"])(
  "costs of %s are those of the graph that surgery gives",
  (name) => {
    const graph = buildNetwork(name, small);
    const prunable = analyse(graph);
    using params = createParameters(paramSpecs(graph), createRng(1));
    const kept = groupSizes(prunable).map((size, i) => Math.max(1, Math.floor(size * (0.3 + ((0.1 * i) % 0.7)))));
    const smaller = removeChannels({ graph, weights: exportWeights(params) }, removedFor(prunable, kept));
    expect(macsCost(prunable)(kept)).toBe(inspectGraph(smaller.graph).macs);
    const weights = [...paramSpecs(smaller.graph).values()].filter(({ role }) => role === "weight" || role === "bias");
    const count = weights.reduce((sum, { shape }) => sum + shape.reduce((p, n) => p * n, 1), 0);
    expect(sumOverLayers(prunable.layers, layerParams)(kept)).toBe(count);
  },
);

describe("reconstruction", () => {
  test("recovers the outputs exactly when removed channels are copies of kept ones", () => {
    const rng = createRng(2);
    const [rows, half, samples] = [3, 4, 200];
    const x = Array.from({ length: samples }, () => {
      const own = Array.from({ length: half }, () => rng.normal());
      return [...own, ...own];
    });
    const size = 2 * half;
    const gram = new Float64Array(size * size);
    for (const row of x) for (let a = 0; a < size; a++) for (let b = 0; b < size; b++) gram[a * size + b]! += row[a]! * row[b]!;
    const weight = Float32Array.from({ length: rows * size }, () => rng.normal());
    const isKept = Array.from({ length: size }, (_, i) => i < half);
    const made = reconstruct(weight, { size, data: gram }, isKept, 1);
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < half; i++) expect(made[r * size + i]).toBeCloseTo(weight[r * size + i]! + weight[r * size + half + i]!, 3);
      for (let i = half; i < size; i++) expect(made[r * size + i]).toBe(0);
    }
  });

  test("of a wide layer, solved in blocks, meets the normal equations", () => {
    const rng = createRng(3);
    const [rows, size, samples] = [3, 1400, 1600];
    const x = Array.from({ length: samples }, () => {
      const common = rng.normal();
      return Float64Array.from({ length: size }, () => Math.max(0, common + rng.normal()));
    });
    const gram = new Float64Array(size * size);
    for (const row of x) for (let a = 0; a < size; a++) for (let b = 0; b < size; b++) gram[a * size + b]! += row[a]! * row[b]!;
    const weight = Float32Array.from({ length: rows * size }, () => rng.normal());
    const isKept = Array.from({ length: size }, (_, i) => i % 2 === 0);
    /** Squared error of the outputs, by the quadratic form of the Gram matrix. */
    const loss = (made: Float32Array) => {
      let total = 0;
      for (let r = 0; r < rows; r++) {
        const off = Float64Array.from({ length: size }, (_, i) => made[r * size + i]! - weight[r * size + i]!);
        for (let a = 0; a < size; a++) for (let b = 0; b < size; b++) total += off[a]! * off[b]! * gram[a * size + b]!;
      }
      return total;
    };
    const made = reconstruct(weight, { size, data: gram }, isKept, 1);
    // at the least squares' solution the error's gradient is 0 but for the ridge
    for (let r = 0; r < rows; r++) {
      for (let i = 0; i < size; i += 200) {
        let gradient = 0;
        for (let b = 0; b < size; b++) gradient += gram[i * size + b]! * (made[r * size + b]! - weight[r * size + b]!);
        expect(Math.abs(gradient)).toBeLessThan(0.02 * gram[i * size + i]!);
      }
    }
    expect(loss(made)).toBeLessThan(0.75 * loss(weight.map((value, i) => (isKept[i % size] ? value : 0))));
  });

  test("stays finite when inputs are dead, constant or copies of one another", () => {
    const [rows, size, samples] = [2, 12, 50];
    const gram = new Float64Array(size * size);
    for (let n = 0; n < samples; n++) {
      const x = Array.from({ length: size }, (_, i) => (i % 3 === 0 ? 0 : i % 3 === 1 ? 1 : Math.sin(n)));
      for (let a = 0; a < size; a++) for (let b = 0; b < size; b++) gram[a * size + b] = Math.fround(gram[a * size + b]! + x[a]! * x[b]!);
    }
    const weight = Float32Array.from({ length: rows * size }, (_, i) => Math.cos(i));
    const made = reconstruct(
      weight,
      { size, data: gram },
      Array.from({ length: size }, (_, i) => i < 8),
      1,
    );
    for (const value of made) expect(Math.abs(value)).toBeLessThan(20);
    const dead = reconstruct(
      weight,
      { size, data: new Float64Array(size * size) },
      Array.from({ length: size }, (_, i) => i < 8),
      1,
    );
    for (const value of dead) expect(Number.isFinite(value)).toBe(true);
  });

  test("brings a pruned network nearer to the original than zeroed weights do, and extraction computes the same", () => {
    const b = createBuilder({ name: "net", input: [3, 12, 12] });
    let x = b.convBn(b.input, { name: "a", outChannels: 16, kernel: 3, activation: "relu6" });
    x = b.convBn(x, { name: "b", outChannels: 16, kernel: 3, activation: "relu" });
    const graph: Graph = b.build(b.classifier(x, { classes: 5 }));
    using params = createParameters(paramSpecs(graph), createRng(3));
    const model = { graph, weights: exportWeights(params) };
    const prunable = analyse(graph);
    const rng = createRng(4);
    const images = [
      Float32Array.from({ length: 40 * 432 }, () => rng.normal()),
      Float32Array.from({ length: 40 * 432 }, () => rng.normal()),
    ];
    const logits = (of: Graph, store: typeof params) => {
      using _scope = createScope();
      return toArray(run(of, store, fromArray([40, 3, 12, 12], images[0]!), { tape: null, mode: "eval" }));
    };
    const original = logits(graph, params);
    const distance = (values: Float32Array) => Math.sqrt(values.reduce((sum, v, i) => sum + (v - original[i]!) ** 2, 0));
    const pruner = createPruner({ model, prunable, params, images, rng, statisticsBatches: 0 });
    const kept = [8, 10];
    pruner.apply(kept);
    const reconstructed = logits(graph, params);
    pruner.restore();
    expect(logits(graph, params)).toEqual(original);
    const extracted = pruner.extract(kept);
    using own = createParameters(paramSpecs(extracted.graph), createRng(0));
    for (const [name, { data }] of extracted.weights) fromWeights(own, name, data);
    const smaller = logits(extracted.graph, own);
    expect(smaller.reduce((max, v, i) => Math.max(max, Math.abs(v - reconstructed[i]!)), 0)).toBeLessThan(1e-4);
    const ranks = prunable.groups.map((group) => rankAtoms(model, prunable.coupling, group));
    const plain = removeChannels(model, new Set(ranks.flatMap((rank, g) => [...rank.subarray(kept[g]!)])));
    using zeroed = createParameters(paramSpecs(plain.graph), createRng(0));
    for (const [name, { data }] of plain.weights) fromWeights(zeroed, name, data);
    expect(distance(reconstructed)).toBeLessThan(0.7 * distance(logits(plain.graph, zeroed)));
  });
});

function fromWeights(store: ReturnType<typeof createParameters>, name: string, data: Float32Array): void {
  valuesOf(store.get(name)).set(data);
}

describe("the search", () => {
  const prunable = analyse(buildNetwork("plain-20", small));
  const cost = macsCost(prunable);
  const sizes = groupSizes(prunable);
  const bounds = { prunable, cost, budget: 0.5 * cost(sizes), rounding: { ...strict, step: 8 } };
  const params = sumOverLayers(prunable.layers, layerParams);
  const options = {
    environment: createEnvironment(bounds),
    reward: rewardOf("accuracy", cost, params),
    agent: { warmup: 20, hidden: 32 },
    seed: 1,
  };
  /** A network whose early groups matter most: its accuracy is known. */
  const accuracyOf = (kept: readonly number[]) => 1 - kept.reduce((sum, n, i) => sum + (0.8 ** i * (1 - n / sizes[i]!)) / 5, 0);
  const judge = (kept: readonly number[]) => ({ accuracy: accuracyOf(kept) });

  test("finds a better policy than every rule of thumb where one exists", async () => {
    const best = await searchPolicy({ ...options, episodes: 150, evaluate: judge });
    expect(cost(best!.decisions)).toBeLessThanOrEqual(bounds.budget);
    for (const rule of RULES) expect(best!.accuracy).toBeGreaterThan(accuracyOf(rulePolicy(rule, bounds)!));
  });

  test("asks for each policy once, and repeats itself from known judgements without asking", async () => {
    const asked = new Map<string, Judgement>();
    const evaluate = (kept: readonly number[]) => {
      expect(asked.has(kept.join(","))).toBe(false);
      asked.set(kept.join(","), judge(kept));
      return judge(kept);
    };
    const first: unknown[] = [];
    await searchPolicy({ ...options, episodes: 60, evaluate, onEpisode: ({ isNew, ...event }) => void first.push(event) });
    const known = new Map([...asked].slice(0, 30));
    const second: unknown[] = [];
    let count = 0;
    await searchPolicy({
      ...options,
      episodes: 60,
      known,
      evaluate: (kept) => {
        count++;
        return judge(kept);
      },
      onEpisode: ({ isNew, ...event }) => void second.push(event),
    });
    expect(second).toEqual(first);
    expect(count).toBe(asked.size - 30);
  });

  test("without a budget weighs the error against the cost", async () => {
    const environment = createEnvironment({ ...bounds, budget: Number.POSITIVE_INFINITY });
    const free = { ...options, environment, episodes: 120 };
    const flat = await searchPolicy({ ...free, reward: rewardOf("flops", cost, params), evaluate: () => ({ accuracy: 0.9 }) });
    const steep = await searchPolicy({ ...free, evaluate: judge });
    expect(cost(flat!.decisions)).toBeLessThan(cost(steep!.decisions));
  });
});
