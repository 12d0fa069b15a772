import { expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { foldBatchNorm } from "../graph/fold.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Model } from "../graph/types.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray, valuesOf } from "../tensor/tensor.ts";
import { createRng } from "../util/rng.ts";
import { createParameters, exportWeights, importWeights, type ParameterStore } from "./parameters.ts";
import { recalibrate } from "./recalibrate.ts";
import { run } from "./run.ts";
import { unfoldBatchNorm } from "./unfold.ts";

const COUNT = 32;
const rng = createRng(5);
const images = [0, 1].map(() => Float32Array.from({ length: COUNT * 192 }, () => 0.3 + rng.normal()));

function network(): Model {
  const b = createBuilder({ name: "net", input: [3, 8, 8] });
  const x = b.convBn(b.input, { name: "a", outChannels: 12, kernel: 3, activation: "relu6" });
  const y = b.convBn(x, { name: "b", outChannels: 12, kernel: 3, groups: 12, activation: "relu" });
  const graph = b.build(b.classifier(b.add(x, y, "sum"), { classes: 4 }));
  using params = createParameters(paramSpecs(graph), createRng(1));
  recalibrate(graph, params, images);
  return { graph, weights: exportWeights(params) };
}

function withParams<T>({ graph, weights }: Model, work: (params: ParameterStore) => T): T {
  using params = createParameters(paramSpecs(graph), createRng(0));
  importWeights(params, weights);
  return work(params);
}
const logits = (model: Model) =>
  withParams(model, (params) => {
    using _scope = createScope();
    return toArray(run(model.graph, params, fromArray([COUNT, 3, 8, 8], images[0]!), { tape: null, mode: "eval" }));
  });

test("a folded network gets its normalisation back without changing what it computes", () => {
  const folded = foldBatchNorm(network());
  const unfolded = withParams(folded, (params) => unfoldBatchNorm(folded, params, images));
  expect(unfolded.graph.nodes.filter(({ op }) => op === "batchNorm")).toHaveLength(2);
  const [before, after] = [logits(folded), logits(unfolded)];
  expect(after.reduce((max, v, i) => Math.max(max, Math.abs(v - before[i]!)), 0)).toBeLessThan(1e-4);
  // Its statistics are those of the images: taking them again changes nothing.
  const again = withParams(unfolded, (params) => {
    recalibrate(unfolded.graph, params, images);
    return { graph: unfolded.graph, weights: exportWeights(params) };
  });
  const renewed = logits(again);
  expect(renewed.reduce((max, v, i) => Math.max(max, Math.abs(v - before[i]!)), 0)).toBeLessThan(0.02);
  const refolded = logits(foldBatchNorm(unfolded));
  expect(refolded.reduce((max, v, i) => Math.max(max, Math.abs(v - before[i]!)), 0)).toBeLessThan(1e-4);
});

test("where one normalisation could not be folded, the convolutions without get theirs back", () => {
  const b = createBuilder({ name: "dense", input: [3, 8, 8] });
  const x = b.convBn(b.input, { name: "a", outChannels: 6, kernel: 3, activation: "relu" });
  const both = b.append("batchNorm", "late", [b.append("concat", "both", [b.input, x], {})], { epsilon: 1e-3, momentum: 0.1 });
  const graph = b.build(b.classifier(both, { classes: 4 }));
  const whole = (() => {
    using params = createParameters(paramSpecs(graph), createRng(1));
    recalibrate(graph, params, images);
    return foldBatchNorm({ graph, weights: exportWeights(params) });
  })();
  const unfolded = withParams(whole, (params) => unfoldBatchNorm(whole, params, images));
  const norms = (model: Model) => model.graph.nodes.filter(({ op }) => op === "batchNorm").length;
  expect([norms(whole), norms(unfolded)]).toEqual([1, 2]);
  const [before, after] = [logits(whole), logits(unfolded)];
  expect(after.reduce((max, v, i) => Math.max(max, Math.abs(v - before[i]!)), 0)).toBeLessThan(1e-4);
});

test("a network that has normalisation is left alone", () => {
  const model = network();
  expect(withParams(model, (params) => unfoldBatchNorm(model, params, images)).graph).toBe(model.graph);
});

test("recalibration gives the mean and variance of what each normalisation reads", () => {
  const b = createBuilder({ name: "norm", input: [2, 4, 4] });
  const graph = b.build(b.batchNorm(b.input, "bn"));
  using params = createParameters(paramSpecs(graph), createRng(2));
  const batches = [0, 1, 2].map((k) => Float32Array.from({ length: 8 * 32 }, (_, i) => Math.sin(i + 40 * k) + (Math.floor(i / 16) % 2)));
  recalibrate(graph, params, batches);
  const all = batches.flatMap((batch) => [...batch]);
  for (const channel of [0, 1]) {
    const own = all.filter((_, i) => Math.floor(i / 16) % 2 === channel);
    const mean = own.reduce((sum, v) => sum + v, 0) / own.length;
    expect(valuesOf(params.get("bn.mean"))[channel]).toBeCloseTo(mean, 4);
    const variance = own.reduce((sum, v) => sum + (v - mean) ** 2, 0) / own.length;
    expect(valuesOf(params.get("bn.variance"))[channel]).toBeCloseTo(variance, 1);
  }
});
