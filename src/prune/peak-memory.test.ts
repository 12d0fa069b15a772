import fc from "fast-check";
import { expect, test } from "vitest";
import { peakActivationBytes } from "../graph/counts.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { createRng } from "../util/rng.ts";
import { analyse, groupSizes } from "./environment.ts";
import { peakMemoryCost } from "./peak-memory.ts";
import { removeChannels } from "./surgery.ts";

test.each(["resnet-20-b", "plain-20", "mobilenet-v1:0.25", "mobilenet-v2:0.35"])(
  "the peak memory of a policy is that of the network it makes, on %s",
  (name) => {
    const graph = buildNetwork(name, { input: [3, 32, 32], classes: 10 });
    using params = createParameters(paramSpecs(graph), createRng(0));
    const model = { graph, weights: exportWeights(params) };
    const prunable = analyse(graph);
    const cost = peakMemoryCost(prunable);
    expect(cost(groupSizes(prunable))).toBe(peakActivationBytes(graph));
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), (seed) => {
        const rng = createRng(seed);
        const kept = groupSizes(prunable).map((size) => 1 + rng.int(size));
        const removed = new Set(prunable.groups.flatMap(({ atoms }, g) => [...atoms.slice(kept[g]!)]));
        expect(cost(kept)).toBeCloseTo(peakActivationBytes(removeChannels(model, removed, prunable.coupling).graph), 3);
      }),
      { numRuns: 10 },
    );
  },
);
