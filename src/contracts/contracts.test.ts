import { describe, expect, test } from "vitest";
import { easyData } from "../../test/support.ts";
import { dataFromImages } from "../data/splits.ts";
import { createBismo } from "../hardware/bismo.ts";
import { createBitFusion } from "../hardware/bitfusion.ts";
import type { Device } from "../hardware/device.ts";
import type { Accelerator } from "../hardware/precision.ts";
import type { ContractCheck } from "./contract.ts";
import { dataContract } from "./data.ts";
import { acceleratorContract, deviceContract } from "./device.ts";

/** Names of the checks that fail. */
async function failures(checks: readonly ContractCheck[]): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, check } of checks) await check().catch(() => failed.push(name));
  return failed;
}

describe.each([
  ["bitfusion", createBitFusion],
  ["bismo-edge", () => createBismo("edge")],
  ["bismo-cloud", () => createBismo("cloud")],
] as const)("%s", (_, open) => {
  for (const { name, check } of acceleratorContract(open)) test(name, check);
});

describe("images of one's own", () => {
  const shape = [1, 4, 4] as const;
  const images = Uint8Array.from({ length: 60 * 16 }, (_, i) => (i * 7919) % 251);
  const labels = Int32Array.from({ length: 60 }, (_, i) => i % 3);
  const own = { name: "own", shape, classes: ["a", "b", "c"], train: { images, labels } };
  for (const { name, check } of dataContract(() => dataFromImages(own))) test(name, check);

  test("wrong pixels and labels are refused", () => {
    expect(() => dataFromImages({ ...own, train: { images: images.subarray(1), labels } })).toThrow(
      /^data own: training images must have 16 bytes for each of 60 labels, got 959$/,
    );
    expect(() => dataFromImages({ ...own, test: { images, labels: labels.map((label) => label + 1) } })).toThrow(
      /^data own: test labels must be from 0 to 2, got 3$/,
    );
  });
});

describe("what breaks a contract is found", () => {
  const device: Device = { name: "mine", kind: "table", overheadMs: 0, latencyMs: async (graph) => graph.nodes.length };
  test.each<[string, Partial<Device>]>([
    ["it has a name, a kind and an overhead that is not negative", { overheadMs: -1 }],
    ["latencies are positive milliseconds", { latencyMs: async () => 0 }],
    [
      "the same graph has the same latency each time",
      {
        latencyMs: (() => {
          let n = 1;
          return async () => n++;
        })(),
      },
    ],
    ["the latency of a graph is the sum of its parts'", { latencyMs: async (graph) => graph.nodes.length ** 2 }],
  ])("%s", async (name, wrong) => {
    expect(await failures(deviceContract(() => device))).toEqual([]);
    expect(await failures(deviceContract(() => ({ ...device, ...wrong })))).toContain(name);
  });

  const fusion = createBitFusion();
  test.each<[string, Partial<Accelerator>]>([
    ["it names the bits that it computes with, ascending, 8 among them", { precisions: { ...fusion.precisions, weightBits: [4, 2] } }],
    [
      "every layer has a positive latency at all of them, and an energy at all or at none",
      { layerCost: () => ({ latencyMs: 0, energyMj: 1 }) },
    ],
    ["bits that it does not compute with are refused", { layerCost: () => ({ latencyMs: 1, energyMj: 1 }) }],
    ["sums over a graph are those of its layers at 8 bits", { energyMj: async () => 1 }],
  ])("%s", async (name, wrong) => {
    expect(await failures(acceleratorContract(() => ({ ...fusion, ...wrong })))).toContain(name);
  });

  const data = easyData({ count: 64 });
  test.each<[string, Partial<typeof data>]>([
    ["no part is empty, and all have the same shape and classes", { validation: { ...data.validation, classes: ["x", "y"] } }],
    [
      "every part has its pixels, in shared memory, and a label for each image",
      { test: { ...data.test, images: data.test.images.slice() } },
    ],
    ["every class is among the training images", { train: { ...data.train, labels: data.train.labels.map(() => 0) } }],
    ["there is a mean and a positive deviation for each channel", { normalisation: { mean: [0, 0, 0], std: [1, 1, 0] } }],
    ["no test image is trained on", { test: data.train }],
  ])("%s", async (name, wrong) => {
    expect(await failures(dataContract(() => ({ ...data, ...wrong })))).toContain(name);
  });
});
