import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { easyData } from "../../test/support.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { runtime } from "../onednn/runtime.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph, createSupernet } from "../space/graphs.ts";
import { crossEntropy } from "../tensor/losses.ts";
import { affine } from "../tensor/ops/activation.ts";
import { add } from "../tensor/ops/combine.ts";
import { createScope, fromArray, type Tensor, valuesOf } from "../tensor/tensor.ts";
import { createSgd } from "../train/optimizers.ts";
import { gradientStep } from "../train/step.ts";
import { createRng } from "../util/rng.ts";
import { median } from "../util/statistics.ts";
import { macsTable } from "./cost-tables.ts";
import { costOf, expectedCost } from "./costs.ts";
import { mostProbableWithin } from "./derive.ts";
import { sampleOne, sampleTwo } from "./gates.ts";
import { alignCandidates, largestPath } from "./initialise.ts";
import { gateGradients } from "./paths.ts";
import { search } from "./search.ts";
import type { SearchMode, SearchOptions } from "./search-options.ts";

const space: SpaceDescription = {
  name: "tiny",
  input: [3, 16, 16],
  classes: 2,
  stem: { width: 8, kernel: 3, stride: 2 },
  first: { width: 8, kernel: 3, stride: 1 },
  stages: [
    { width: 8, blocks: 2, stride: 1 },
    { width: 16, blocks: 2, stride: 2 },
  ],
  candidates: [
    { kernel: 3, expand: 2 },
    { kernel: 5, expand: 4 },
    { kernel: 7, expand: 4 },
  ],
  zero: true,
  head: { width: 16 },
  dropout: 0,
  norm: { epsilon: 1e-3, momentum: 0.1 },
};
const supernet = createSupernet(space);
const data = easyData({ count: 192 });
const SIZE = 16;
const batch = (() => {
  const rng = createRng(2);
  const x = new Float32Array(SIZE * 3 * 256).map(() => rng.normal());
  return { x, labels: Int32Array.from({ length: SIZE }, (_, i) => i % 2), indices: new Int32Array(SIZE), size: SIZE };
})();

/** Loss of the supernet whose blocks give Σ gⱼ·oⱼ(x), plus x where there is a residual. */
function lossWithGates(params: ReturnType<typeof createParameters>, gates: readonly (readonly number[])[]): number {
  using _scope = createScope();
  const forward = { tape: null, mode: "batch" } as const;
  let x = run(supernet.stem, params, fromArray([SIZE, 3, 16, 16], batch.x), forward);
  for (const [b, block] of supernet.blocks.entries()) {
    let sum: Tensor | null = block.hasResidual ? x : null;
    for (const [c, candidate] of supernet.candidates[b]!.entries()) {
      if (!candidate || gates[b]![c] === 0) continue;
      const output = affine(null, run(candidate, params, x, forward), gates[b]![c]!, 0);
      sum = sum ? add(null, sum, output) : output;
    }
    x = sum!;
  }
  return crossEntropy(run(supernet.head, params, x, forward), batch.labels).loss;
}

describe.each([
  ["two", sampleTwo],
  ["full", sampleOne],
] as const)("gate gradients of mode %s", (_, sample) => {
  test("equal finite differences of the loss in the gates", () => {
    using params = createParameters(supernet.specs, createRng(4));
    const rng = createRng(7);
    const errors: number[] = [];
    for (let draw = 0; draw < 7; draw++) {
      const samples = supernet.blocks.map(({ choices }) => sample(new Float64Array(choices.length), rng));
      const { perBlock, loss } = gateGradients(supernet, params, batch, samples);
      const oneHot = samples.map(({ active, probabilities }) => Array.from(probabilities, (_p, c) => (c === active ? 1 : 0)));
      expect(lossWithGates(params, oneHot)).toBeCloseTo(loss, 5);
      // ReLU6 and its kinks: the step must be small, and a draw may still be off by one
      const h = 3e-4;
      let [error, size] = [0, 0];
      for (const [b, { active, inactive }] of samples.entries()) {
        for (const c of [active, ...inactive]) {
          const shifted = (t: number) =>
            lossWithGates(
              params,
              oneHot.map((gates, i) => (i === b ? gates.map((g, j) => (j === c ? g + t : g)) : gates)),
            );
          const numeric = (shifted(h) - shifted(-h)) / (2 * h);
          error += (perBlock[b]![c]! - numeric) ** 2;
          size += numeric ** 2;
        }
      }
      errors.push(Math.sqrt(error / size));
    }
    expect(median(errors)).toBeLessThan(0.03);
  });
});

test("a weight step leaves the parameters of inactive candidates as they were, with momentum and decay too", () => {
  using params = createParameters(supernet.specs, createRng(1));
  const sgd = createSgd(params, { weightDecay: 0.1 });
  const step = (architecture: readonly number[]) => {
    gradientStep(architectureGraph(space, architecture), params, batch, { rng: createRng(0) });
    sgd.step(0.1);
  };
  step([1, 1, 1, 1]);
  const before = exportWeights(params);
  step([0, 3, 2, 0]);
  const used = new Set(architectureGraph(space, [0, 3, 2, 0]).nodes.flatMap((node) => Object.values(node.params)));
  for (const [name, { data: values }] of exportWeights(params)) {
    const isSame = values.every((value, i) => value === before.get(name)!.data[i]);
    expect(isSame, name).toBe(!used.has(name));
  }
});

test("an architecture step changes no weight and no running statistic, and gives back all memory", () => {
  using params = createParameters(supernet.specs, createRng(1));
  const before = exportWeights(params);
  const used = runtime().pool.statistics().usedBytes;
  const rng = createRng(3);
  gateGradients(
    supernet,
    params,
    batch,
    supernet.blocks.map(({ choices }) => sampleTwo(new Float64Array(choices.length), rng)),
  );
  expect(exportWeights(params)).toEqual(before);
  expect(runtime().pool.statistics().usedBytes).toBe(used);
});

test("aligned candidates are parts of their block's largest", () => {
  using params = createParameters(supernet.specs, createRng(1));
  alignCandidates(supernet, params);
  expect(largestPath(supernet)).toEqual([2, 2, 2, 2]);
  const [large, small] = ["stage1.block1.k7e4.depthwise.conv.weight", "stage1.block1.k3e2.depthwise.conv.weight"].map((name) =>
    valuesOf(params.get(name)),
  );
  for (let c = 0; c < 16; c++)
    for (let r = 0; r < 3; r++) for (let q = 0; q < 3; q++) expect(small![(c * 3 + r) * 3 + q]).toBe(large![(c * 7 + r + 2) * 7 + q + 2]);
});

const costs = macsTable(space);
const middle = 0.6 * costs.perChoice.reduce((sum, row) => sum + Math.max(...row), costs.fixed);
const options = (mode: SearchMode, more: Partial<SearchOptions> = {}): SearchOptions => ({
  space,
  data,
  costs,
  target: middle,
  isLatency: false,
  mode,
  loss: { name: "constraint" },
  warmupEpochs: 1,
  searchEpochs: 12,
  batchSize: 32,
  lr: 0.05,
  architectureLr: 0.2,
  weightStepsPerArchitectureStep: 1,
  augmentation: null,
  seed: 0,
  ...more,
});

describe.each(["two", "full", "reinforce"] as const)("a search in mode %s", (mode) => {
  test("learns, becomes decided and is repeatable", async () => {
    const { reports, probabilities } = await search(options(mode));
    expect(reports.map(({ phase }) => phase)).toEqual(["warm-up", ...Array<string>(12).fill("search")]);
    expect(reports.at(-1)!.trainAccuracy).toBeGreaterThan(0.8);
    expect(reports.at(-1)!.entropy).toBeLessThan(0.8 * reports[0]!.entropy);
    expect(reports.at(-1)!.expectedCost).toBeCloseTo(expectedCost(costs, probabilities), 6);
    expect((await search(options(mode))).probabilities).toEqual(probabilities);
  });
});

test("the expected cost ends near a limit from either side", async () => {
  for (const share of [0.45, 0.8]) {
    const target = (share / 0.6) * middle;
    const { reports } = await search(options("full", { target, searchEpochs: 30, architectureLr: 0.1 }));
    expect(reports.at(-1)!.expectedCost / target).toBeLessThan(1.1);
  }
});

test("networks drawn are within the target, all different, and the most accurate come first", async () => {
  const { candidates, probabilities } = await search(options("two"));
  expect(candidates.length).toBeGreaterThan(4);
  expect(new Set(candidates.map((one) => one.join())).size).toBe(candidates.length);
  for (const one of candidates) expect(costOf(costs, one)).toBeLessThanOrEqual(middle);
  expect(candidates.map((one) => one.join())).toContain(mostProbableWithin(probabilities, costs, middle)!.join());
  expect((await search(options("two", { candidates: 0 }))).candidates).toEqual([]);
});

test.each(["two", "reinforce"] as const)("a search in mode %s that was stopped goes on as if it had not been", async (mode) => {
  const checkpointPath = join(mkdtempSync(join(tmpdir(), "fettle-search-")), "search.safetensors");
  const few = { searchEpochs: 4, checkpointPath };
  const whole = await search(options(mode, { searchEpochs: 4 }));
  for (const stopAt of [3, 17]) {
    const stopping = new AbortController();
    const { isCancelled } = await search(
      options(mode, { ...few, resume: true, signal: stopping.signal, onStep: ({ step }) => step === stopAt && stopping.abort() }),
    );
    expect(isCancelled).toBe(true);
  }
  const seconds = (reports: typeof whole.reports) => reports.map((report) => ({ ...report, seconds: 0 }));
  const { reports, ...rest } = await search(options(mode, { ...few, resume: true }));
  expect(rest.probabilities).toEqual(whole.probabilities);
  expect(rest.candidates).toEqual(whole.candidates);
  expect(seconds(reports)).toEqual(seconds(whole.reports));
});

test("a search that is stopped gives what it has", async () => {
  const controller = new AbortController();
  const { isCancelled, probabilities } = await search(
    options("two", { signal: controller.signal, onStep: ({ step }) => step === 8 && controller.abort() }),
  );
  expect(isCancelled).toBe(true);
  expect(probabilities).toHaveLength(4);
});
