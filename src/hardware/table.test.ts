import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { openDevice } from "./open.ts";
import { operatorsOf } from "./operators.ts";
import { openJsonTable } from "./table.ts";

const file = (name: string, content: unknown) => {
  const path = join(mkdtempSync(join(tmpdir(), "fettle-table-")), name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
};
const b = createBuilder({ name: "net", input: [3, 8, 8] });
const graph = b.build(b.classifier(b.convBn(b.input, { name: "c", outChannels: 8, kernel: 3, activation: "relu6" }), { classes: 2 }));
const keys = operatorsOf(graph).map(({ key }) => key);

test("operators are what runs: batch norm, activation and flatten are part of their neighbours", () => {
  expect(keys).toHaveLength(3);
  expect(keys[0]).toContain("conv 3x8x8");
  expect(keys[0]).toContain("+clip[0,6]");
});

test("an own table answers with the sum of its entries", async () => {
  const device = openJsonTable(
    file("t.json", {
      format: "fettle-table-1",
      name: "board",
      overheadMs: 0.5,
      latencyMs: Object.fromEntries(keys.map((key, i) => [key, 10 ** i])),
    }),
  );
  expect(await device.latencyMs(graph)).toBe(111);
  expect([device.name, device.kind, device.overheadMs]).toEqual(["board", "table", 0.5]);
});

test("a missing entry is named, with the nearest one", async () => {
  const rest = Object.fromEntries(keys.slice(1).map((key) => [key, 1]));
  const device = openJsonTable(
    file("t.json", { format: "fettle-table-1", name: "board", latencyMs: { [keys[0]!.replace("8x8", "9x9")]: 1, ...rest } }),
  );
  await expect(device.latencyMs(graph)).rejects.toThrow(
    `device board: the table must have "${keys[0]}", got no such entry — the nearest is`,
  );
});

test("all missing entries of a graph are named at once", async () => {
  const device = openJsonTable(file("t.json", { format: "fettle-table-1", name: "board", latencyMs: { [keys[1]!]: 1 } }));
  const all = `device board: the table must have every operator, got no entry for 2 of them: ${JSON.stringify(keys[0])}, ${JSON.stringify(keys[2])}`;
  await expect(device.latencyMs(graph)).rejects.toThrow(all);
  const ends = createBuilder({ name: "convolution", input: [3, 8, 8] });
  const part = ends.build(ends.convBn(ends.input, { name: "c", outChannels: 8, kernel: 3, activation: "relu6" }));
  await expect(device.prepare!([part, graph])).rejects.toThrow(all);
});

test.each([
  ["t.json", "{", /the table must be readable, got /],
  ["t.json", { format: "fettle-table-1", name: "x", latencyMs: { a: -1 } }, /latencyMs\.a is not valid/],
  ["t.json", { format: "other", name: "x", latencyMs: {} }, /format is not valid/],
  ["t.yaml", "a: {mean: fast}", /a\.mean is not valid/],
])("a bad %s names the file and the field", async (name, content, message) => {
  const path = file(name, content);
  await expect(openDevice(path)).rejects.toThrow(message);
  await expect(openDevice(path)).rejects.toThrow(path);
});

test("an unknown device lists what there is", async () => {
  await expect(openDevice("gpu")).rejects.toThrow(/device: must be cpu, bitfusion, bismo-edge, bismo-cloud, FILE\.json, FILE\.yaml, got "/);
  await expect(openDevice("missing.json")).rejects.toThrow("device: missing.json must exist, got no such file");
});
