import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Device } from "../hardware/device.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { calibrationImages, trainable } from "../run/compression-steps.ts";
import { createRng } from "../util/rng.ts";
import { reachOf } from "./reach.ts";

/** Charges for eight channels at once. */
const stairs: Device = {
  name: "stairs",
  kind: "measured",
  overheadMs: 0,
  latencyMs: async ({ nodes }) =>
    nodes.reduce((sum, { attrs }) => sum + Math.ceil(("outChannels" in attrs ? attrs.outChannels : 8) / 8), 0),
};

test("channels go in the device's steps, whatever is limited", async () => {
  const graph = tinyNetwork();
  using params = createParameters(paramSpecs(graph), createRng(0));
  const images = calibrationImages(easyData(), 0, 2);
  const { step } = await reachOf({
    model: trainable({ graph, weights: exportWeights(params) }, images),
    costs: [{ kind: "size", quantity: { kind: "percent", ratio: 0.5 } }],
    device: stairs,
    images,
    seed: 0,
    onMeasured: () => {},
  });
  expect(step).toBe(8);
});
