import { describe, expect, test } from "vitest";
import { easyData } from "../../test/support.ts";
import { createParameters, exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { elasticBlocks, largestSubnet, type Subnet, smallestSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray, valuesOf } from "../tensor/tensor.ts";
import { backpropagate } from "../train/step.ts";
import { createRng } from "../util/rng.ts";
import { extract, subnetAccuracy } from "./extract.ts";
import { tinySpace as space } from "./fixtures.ts";
import { sortChannels } from "./sort-channels.ts";
import { sampleSubnet } from "./stages.ts";
import { createSupernet, supernetSpecs, viewOf } from "./supernet.ts";

const BATCH = 4;
const images = Float32Array.from({ length: BATCH * 3 * 16 * 16 }, (_, i) => Math.sin(i * 12.9898));

/** A supernet whose every number is other than its neighbours'. */
function randomSupernet(): ParameterStore {
  const shared = createSupernet(space, createRng(1));
  const rng = createRng(2);
  for (const [name, { role }] of shared.specs) {
    const values = valuesOf(shared.get(name));
    for (let i = 0; i < values.length; i++) values[i]! += role === "variance" ? 0.1 * rng.uniform() : 0.1 * rng.normal();
  }
  return shared;
}

function logits(shared: ParameterStore, subnet: Subnet): Float32Array {
  using _scope = createScope();
  const graph = subnetGraph(space, subnet);
  const x = fromArray([BATCH, ...space.input], images);
  return toArray(run(graph, viewOf(space, shared, graph, null), x, { tape: null, mode: "batch" }));
}

function logitsOfExtracted(shared: ParameterStore, subnet: Subnet): Float32Array {
  const { graph, weights } = extract(space, shared, subnet);
  using params = createParameters(
    new Map([...weights.keys()].map((name) => [name, { ...supernetSpecs(space).get(name)!, shape: weights.get(name)!.shape }])),
    createRng(0),
  );
  importWeights(params, weights);
  using _scope = createScope();
  return toArray(run(graph, params, fromArray([BATCH, ...space.input], images), { tape: null, mode: "batch" }));
}

describe("a supernet", () => {
  test("computes for every sub-net exactly what the extracted sub-net computes", () => {
    using shared = randomSupernet();
    const rng = createRng(3);
    const subnets = [largestSubnet(space), smallestSubnet(space), ...Array.from({ length: 10 }, () => sampleSubnet(space, "width", rng))];
    for (const subnet of subnets) expect(logitsOfExtracted(shared, subnet)).toEqual(logits(shared, subnet));
    expect(new Set(subnets.map((subnet) => logits(shared, subnet).join())).size).toBe(subnets.length);
  });

  test("takes the centres of larger kernels while its transforms are the identity", () => {
    using shared = createSupernet(space, createRng(1));
    for (const kernel of [3, 5]) {
      const subnet = { ...largestSubnet(space), kernels: elasticBlocks(space).map(() => kernel) };
      const { weights } = extract(space, shared, subnet);
      const { shape, data } = weights.get("stage1.block1.depthwise.conv.weight")!;
      expect(shape).toEqual([32, 1, kernel, kernel]);
      const whole = valuesOf(shared.get("stage1.block1.depthwise.conv.weight"));
      const margin = (7 - kernel) / 2;
      for (let c = 0; c < 32; c++)
        for (let y = 0; y < kernel; y++)
          for (let x = 0; x < kernel; x++) expect(data[(c * kernel + y) * kernel + x]).toBe(whole[(c * 7 + y + margin) * 7 + x + margin]);
    }
  });

  test("keeps the function of the largest network when its channels are sorted, and gives narrow blocks the important ones", () => {
    using shared = randomSupernet();
    const before = logits(shared, largestSubnet(space));
    sortChannels(space, shared);
    const after = logits(shared, largestSubnet(space));
    for (const [i, value] of before.entries()) expect(after[i]).toBeCloseTo(value, 4);
    for (const { name, outChannels, middles } of elasticBlocks(space)) {
      const weight = valuesOf(shared.get(`${name}.project.conv.weight`));
      const middle = middles.at(-1)!;
      const sums = Array.from({ length: middle }, (_, i) => {
        let sum = 0;
        for (let o = 0; o < outChannels; o++) sum += Math.abs(weight[o * middle + i]!);
        return sum;
      });
      for (let i = 1; i < middle; i++) expect(sums[i]!).toBeLessThanOrEqual(sums[i - 1]! + 1e-6);
    }
  });

  test("gets the gradients of its sub-nets, as finite differences tell, also through kernel transforms", () => {
    using shared = randomSupernet();
    const subnet = smallestSubnet(space);
    const graph = subnetGraph(space, subnet);
    const labels = Int32Array.from({ length: BATCH }, (_, i) => i % 2);
    const loss = () => {
      using _scope = createScope();
      const x = fromArray([BATCH, ...space.input], images);
      return backpropagate(graph, (tape) => viewOf(space, shared, graph, tape), x, labels, { mode: "batch" }).loss;
    };
    loss();
    const names = [
      "stage1.block1.depthwise.conv.weight",
      "stage1.block1.depthwise.conv.weight.transform3",
      "stage1.block1.expand.bn.scale",
    ];
    const gradients = new Map(names.map((name) => [name, valuesOf(shared.get(name).gradient!.tensor).slice()]));
    for (const [name, gradient] of gradients) {
      const values = valuesOf(shared.get(name));
      const largest = [...gradient.keys()].sort((a, b) => Math.abs(gradient[b]!) - Math.abs(gradient[a]!)).slice(0, 3);
      for (const i of largest) {
        const at = values[i]!;
        const step = 1e-3;
        values[i] = at + step;
        const above = loss();
        values[i] = at - step;
        const below = loss();
        values[i] = at;
        expect(Math.abs((above - below) / (2 * step) - gradient[i]!)).toBeLessThan(0.1 * Math.abs(gradient[i]!) + 1e-3);
      }
      expect(gradient.some((g) => g === 0) || name.endsWith("transform3")).toBe(true);
    }
  });

  test("is judged with statistics of the sub-net's own", () => {
    using shared = randomSupernet();
    const data = easyData();
    const batch = Float32Array.from(images);
    const before = exportWeights(shared);
    const judged = (batches: Float32Array[]) => subnetAccuracy(space, shared, smallestSubnet(space), { data, images: batches });
    const accuracy = judged([batch, batch]);
    expect(accuracy).toBe(judged([batch]));
    // statistics of other images give other answers
    expect([0.01, 30, -5].map((factor) => judged([batch.map((v) => factor * v + factor)]))).not.toEqual([accuracy, accuracy, accuracy]);
    expect(exportWeights(shared)).toEqual(before);
  });
});
