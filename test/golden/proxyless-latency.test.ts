/** @file Network latencies that follow from ProxylessNAS's published table for the Pixel 1. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { openProxylessTable } from "../../src/hardware/table.ts";
import { latencyTable } from "../../src/nas/cost-tables.ts";
import { costOf } from "../../src/nas/costs.ts";
import { blocksOf, printChoice } from "../../src/space/architecture.ts";
import { proxylessImagenet } from "../../src/space/description.ts";
import { architectureGraph } from "../../src/space/graphs.ts";

const device = openProxylessTable(join(import.meta.dirname, "proxyless-mobile-lut.yaml"));
/** The named choice wherever a block offers it; `optional` where a block may be left out. */
const architecture = (name: string, optional = name) =>
  blocksOf(proxylessImagenet).map(({ choices, hasResidual }) =>
    choices.findIndex((choice) => printChoice(choice) === (hasResidual ? optional : name)),
  );

test.each([
  ["3x3_MBConv6", "3x3_MBConv6", "136.47"],
  ["7x7_MBConv6", "7x7_MBConv6", "191.03"],
  ["3x3_MBConv3", "3x3_MBConv3", "76.05"],
  ["5x5_MBConv3", "5x5_MBConv3", "87.72"],
  ["3x3_MBConv3", "Zero", "29.61"],
])("all blocks %s, optional ones %s: %s ms", async (name, optional, ms) => {
  const choices = architecture(name, optional);
  expect((await device.latencyMs(architectureGraph(proxylessImagenet, choices))).toFixed(2)).toBe(ms);
  expect(costOf(await latencyTable(proxylessImagenet, device), choices).toFixed(2)).toBe(ms);
});
