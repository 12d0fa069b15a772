import { expect, test } from "vitest";
import { easyData } from "../../test/support.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import { FLOAT_BITS } from "../hardware/precision.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { createRng } from "../util/rng.ts";
import { calibrationImages, withParameters } from "./compression-steps.ts";
import { requireFastBits } from "./fast-bits.ts";
import { prepareQuantization } from "./prepare-quantization.ts";
import type { QuantizeLimits } from "./quantize-limits.ts";

const data = easyData();
const { shape } = data.train;
const graph = buildNetwork("mobilenet-v1:0.25", { input: [shape[0]!, shape[1]!, shape[2]!], classes: 10 });
const model = (() => {
  using params = createParameters(paramSpecs(graph), createRng(4));
  return { graph, weights: exportWeights(params) };
})();
const how = { images: calibrationImages(data, 0, 1), scheme: "linear", calibration: "max", areResultsQuantized: true, seed: 0 } as const;
const { layers, quantization } = withParameters(model, (params) => prepareQuantization(model, params, how));
const cost = () => 0;

function timedAgainst(limit: number, obtained: "measured" | "estimated") {
  const limits: QuantizeLimits = {
    limits: [{ kind: "latency", limit, cost, reference: { cost: 0, of: "nothing" }, obtained }],
    choices: { weightBits: [8, FLOAT_BITS], activationBits: [8, FLOAT_BITS], isCoupled: true },
    pins: layers.map(() => null),
    cost,
    budget: 1,
    latencies: null,
  };
  return requireFastBits({ model, data, threads: 1 }, layers, quantization, limits);
}

test("integers are refused where the whole network, timed, is over the limit, whatever its layers were estimated at", async () => {
  await expect(timedAgainst(0.001, "measured")).rejects.toThrow(
    /^quantize: latency must be at least .* with integers on this cpu, got a limit of 1 us — raise it to /,
  );
  await timedAgainst(1000, "measured");
});

test("a latency that is not this machine's is not timed", () => timedAgainst(0.001, "estimated"));
