import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { paramSpecs } from "../graph/params.ts";
import { createParameters, exportWeights, type ParameterStore } from "../nn/parameters.ts";
import { valuesOf } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { evaluate } from "./evaluate.ts";
import { createSgd } from "./optimizers.ts";
import { fittingBatch, lrFor, type Recipe, type RecipeOptions, trainByRecipe } from "./recipe.ts";
import { type Projection, type Projections, withProjections } from "./shadow.ts";

const data = easyData();
const graph = tinyNetwork();
const recipe: Recipe = {
  epochs: 4,
  batchSize: 32,
  optimizer: "sgd",
  schedule: "oneCycle",
  lr: 0.05,
  weightDecay: 1e-4,
  labelSmoothing: 0,
  ema: 0,
  augmentation: { crop: 1 },
  seed: 0,
};
const parameters = (seed = 0) => createParameters(paramSpecs(graph), createRng(seed));
const train = (params: ParameterStore, more: Partial<RecipeOptions> = {}) => trainByRecipe({ graph, params, data, recipe, ...more });
const numbers = (params: ParameterStore) => [...exportWeights(params).values()].flatMap(({ data: values }) => [...values]);
const accuracy = (params: ParameterStore) => evaluate(graph, params, data.test, { normalisation: data.normalisation }).accuracy;

test.each([
  ["SGD and one cycle", {}],
  ["Adam and cosine", { optimizer: "adam", schedule: "cosine", lr: 0.01 }],
  ["label smoothing and averaged weights", { labelSmoothing: 0.1, ema: 0.9 }],
] as const)("learns an easy task with %s", async (_, changes) => {
  using params = parameters();
  const { reports, isCancelled } = await train(params, { recipe: { ...recipe, ...changes, epochs: 8 } });
  expect(isCancelled).toBe(false);
  expect(reports).toHaveLength(8);
  expect(reports.at(-1)!.trainLoss).toBeLessThan(reports[0]!.trainLoss);
  expect(accuracy(params)).toBeGreaterThan(0.95);
});

test("same seed, same weights bit for bit; another seed, others", async () => {
  using a = parameters();
  using b = parameters();
  using c = parameters();
  await train(a);
  await train(b);
  await train(c, { recipe: { ...recipe, seed: 1 } });
  expect(numbers(b)).toEqual(numbers(a));
  expect(numbers(c)).not.toEqual(numbers(a));
});

/** Quarters, with the full numbers behind them. */
const quarters: Projections = new Map(
  graph.nodes
    .filter(({ op }) => op === "conv")
    .map(({ params }) => [
      params.weight!,
      { keepsShadow: true, project: (weights, into) => into.set(weights.map((w) => Math.round(4 * w) / 4)) },
    ]),
);

test.each([
  ["plainly", { ema: 0 }, {}],
  ["averaging weights", { ema: 0.95 }, {}],
  ["with reduced weights", { ema: 0 }, { projections: quarters }],
])("stopped in an epoch and resumed ends where an uninterrupted training ends, %s", async (_, { ema }, more) => {
  const ours = { ...recipe, ema };
  const checkpointPath = join(mkdtempSync(join(tmpdir(), "fettle-resume-")), "c.safetensors");
  using whole = parameters();
  await train(whole, { recipe: ours, ...more });
  using first = parameters();
  const controller = new AbortController();
  const stopped = await train(first, {
    recipe: ours,
    ...more,
    checkpointPath,
    signal: controller.signal,
    onStep: ({ step }) => step === 9 && controller.abort(),
  });
  expect(stopped.isCancelled).toBe(true);
  using second = parameters(5);
  const { reports } = await train(second, { recipe: ours, ...more, checkpointPath, resume: true });
  expect(reports.map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3]);
  expect(numbers(second)).toEqual(numbers(whole));
});

test("a full copy that is given is what updates add up in", () => {
  using params = parameters();
  const [[name, quarter]] = [...quarters] as [[string, Projection]];
  const initial = valuesOf(params.get(name)).map((w) => w + 0.1);
  const optimizer = withProjections(createSgd(params, {}), params, new Map([[name, { ...quarter, initial }]]));
  expect(optimizer.state().get(`shadow/${name}`)).toEqual(initial);
  expect([...valuesOf(params.get(name))]).toEqual([...initial].map((w) => Math.round(4 * w) / 4));
});

test("a teacher's soft targets change what is learnt", async () => {
  using teacher = parameters(3);
  await train(teacher, { recipe: { ...recipe, epochs: 8 } });
  using alone = parameters();
  using taught = parameters();
  await train(alone);
  await train(taught, { teacher: { graph, params: teacher, temperature: 2 } });
  expect(numbers(taught)).not.toEqual(numbers(alone));
  expect(accuracy(taught)).toBeGreaterThan(0.9);
});

test("a loss that is no number ends the training with advice", async () => {
  using params = parameters();
  await expect(train(params, { recipe: { ...recipe, lr: 1e20, schedule: "cosine" } })).rejects.toThrow(
    /^training: the loss must be a number, got NaN in step \d+ — use a lower learning rate$/,
  );
});

test("few images make small batches, with learning rates in proportion", () => {
  expect([100_000, 2048, 2000, 216, 20].map(fittingBatch)).toEqual([128, 128, 64, 16, 16]);
  expect([256, 128, 32].map((batch) => lrFor(batch, 0.2))).toEqual([0.2, 0.2, 0.05]);
});
