import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { paramSpecs } from "../graph/params.ts";
import { openCpu } from "../hardware/cpu.ts";
import type { Device } from "../hardware/device.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { calibrationImages, trainable } from "../run/compression-steps.ts";
import { createRng } from "../util/rng.ts";
import { type ReachOptions, reachOf } from "./reach.ts";

/** Charges for eight channels at once. */
const stairs: Device = {
  name: "stairs",
  kind: "measured",
  overheadMs: 0,
  latencyMs: async ({ nodes }) =>
    nodes.reduce((sum, { attrs }) => sum + Math.ceil(("outChannels" in attrs ? attrs.outChannels : 8) / 8), 0),
};
const half = { kind: "percent", ratio: 0.5 } as const;

function reachOfTiny(options: Pick<ReachOptions, "costs" | "device" | "arithmetic">) {
  const graph = tinyNetwork();
  using params = createParameters(paramSpecs(graph), createRng(0));
  const images = calibrationImages(easyData(), 0, 2);
  return reachOf({
    ...options,
    model: trainable({ graph, weights: exportWeights(params) }, images),
    images,
    seed: 0,
    onMeasured: () => {},
  });
}

async function latencyAndSizeOnCpu(arithmetic: ReachOptions["arithmetic"]) {
  const device = await openCpu({ cacheDir: mkdtempSync(join(tmpdir(), "fettle-reach-")) });
  const costs = [
    { kind: "latency", quantity: half },
    { kind: "size", quantity: half },
  ] as const;
  return (await reachOfTiny({ costs, device, arithmetic })).reached;
}

test("channels go in the device's steps, whatever is limited", async () => {
  const { step } = await reachOfTiny({ costs: [{ kind: "size", quantity: half }], device: stairs, arithmetic: "integers" });
  expect(step).toBe(8);
});

test("what a file has beside its weights is not made smaller twice, where integers are for a CPU too", async () => {
  const reached = await latencyAndSizeOnCpu("integers");
  const { fewestBits, pruned, both } = reached[1]!.leverage;
  expect(both).toBeGreaterThan(fewestBits * pruned);
  expect(both).toBeLessThanOrEqual(Math.min(fewestBits, pruned));
});

test("where a CPU computes with floats, bits only store them: its latency is pruning's alone", async () => {
  const reached = await latencyAndSizeOnCpu("floats");
  const [latency, size] = reached.map(({ leverage }) => leverage);
  expect(latency).toMatchObject({ eightBits: 1, fewestBits: 1, both: latency!.pruned });
  expect(size!.fewestBits).toBeLessThan(size!.eightBits);
});
