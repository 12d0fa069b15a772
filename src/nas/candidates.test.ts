import { expect, test } from "vitest";
import { easyData } from "../../test/support.ts";
import { batches } from "../data/batches.ts";
import { createParameters } from "../nn/parameters.ts";
import { mobileNetSpace } from "../space/description.ts";
import { architectureGraph, createSupernet } from "../space/graphs.ts";
import { createSgd } from "../train/optimizers.ts";
import { gradientStep } from "../train/step.ts";
import { createRng } from "../util/rng.ts";
import { drawWithin, rankByAccuracy } from "./candidates.ts";
import { macsTable } from "./cost-tables.ts";
import { costOf } from "./costs.ts";

const data = easyData({ count: 192 });
const space = mobileNetSpace({ input: data.train.shape, classes: 2, width: 0.25 });

test("the path that was trained comes before paths that were not", async () => {
  const supernet = createSupernet(space);
  using params = createParameters(supernet.specs, createRng(1));
  const sgd = createSgd(params, {});
  const path = (choice: number) => supernet.blocks.map(({ choices }) => choice % choices.length);
  const graph = architectureGraph(space, path(0));
  const order = { batchSize: 32, normalisation: data.normalisation, augmentation: null, rng: createRng(0), shuffle: true, dropLast: true };
  for (let epoch = 0; epoch < 6; epoch++) {
    for (const batch of batches(data.train, { ...order, epoch })) {
      gradientStep(graph, params, batch, { rng: createRng(0) });
      sgd.step(0.05);
    }
  }
  const seen: number[] = [];
  const onProgress = (done: number, total: number) => seen.push(done / total);
  const ranked = await rankByAccuracy([path(1), path(2), path(0), path(3)], { space, params, data, rng: createRng(2), onProgress });
  expect(ranked).toHaveLength(4);
  expect(ranked[0]).toEqual(path(0));
  expect(seen.at(-1)).toBe(1);
});

test("draws use the budget, follow the probabilities and are fewer where it allows few", () => {
  const table = macsTable(space);
  const probabilities = table.perChoice.map((row) => Float64Array.from(row, (_, c) => (c === 0 ? 0.9 : 0.1 / (row.length - 1))));
  const favourite = costOf(
    table,
    table.perChoice.map(() => 0),
  );
  const drawn = drawWithin(probabilities, table, 1.05 * favourite, 40, createRng(0));
  expect(drawn).toHaveLength(40);
  for (const one of drawn) {
    expect(costOf(table, one)).toBeLessThanOrEqual(1.05 * favourite);
    expect(costOf(table, one)).toBeGreaterThanOrEqual(0.9 * 1.05 * favourite);
  }
  const zeros = drawn.flat().filter((choice) => choice === 0).length / drawn.flat().length;
  expect(zeros).toBeGreaterThan(0.6);
  const least = table.fixed + table.perChoice.reduce((sum, row) => sum + Math.min(...row), 0);
  expect(drawWithin(probabilities, table, least, 40, createRng(0))).toHaveLength(1);
  expect(drawWithin(probabilities, table, 0.9 * least, 40, createRng(0))).toEqual([]);
});

test("a budget that no network comes near is no reason to compare none", () => {
  const table = macsTable(space);
  const even = table.perChoice.map((row) => new Float64Array(row.length).fill(1 / row.length));
  const largest = table.fixed + table.perChoice.reduce((sum, row) => sum + Math.max(...row), 0);
  const drawn = drawWithin(even, table, 4 * largest, 8, createRng(0));
  expect(drawn).toHaveLength(8);
  const costs = drawn.slice(1).map((one) => costOf(table, one));
  expect(costs).toEqual([...costs].sort((a, b) => b - a));
});
