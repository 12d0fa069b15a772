import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { CONFIG_KEYS, configJsonSchema, defineConfig, resolveConfig } from "./config.ts";
import { LIMIT_KEYS } from "./limits.ts";

test("defaults are filled in, objects of a program are taken as they are", () => {
  const device = { name: "mine", kind: "table", overheadMs: 0, latencyMs: async () => 1 } as const;
  const resolved = resolveConfig(defineConfig({ data: "fashion-mnist", device, maxMacs: "5M" }), "config");
  expect(resolved).toMatchObject({ data: "fashion-mnist", method: "auto", seed: 0, maxMacs: "5M" });
  expect(resolved.device).toBe(device);
});

test.each([
  [{ data: "fashion-mnist", maxLatncy: "1ms" }, 'config: keys must be known, got "maxLatncy" — did you mean maxLatency?'],
  [{ data: "fashion-mnist", zzzzzzzzzzzz: 1 }, 'config: keys must be known, got "zzzzzzzzzzzz"'],
  [{}, /^config: data must be given, got none — for example images:photos/],
  [{ data: 3 }, /^config: data must be valid, got Invalid input/],
  [{ data: "fashion-mnist", batch: 0.5 }, /^config: batch must be valid, got Invalid input: expected int/],
  [{ data: "fashion-mnist", method: "fast" }, /^config: method must be valid, got Invalid option/],
])("%j is refused", (config, message) => {
  expect(() => resolveConfig(config, "config")).toThrow(message);
});

test("every limit is a key, and the published schema is this one", () => {
  expect(CONFIG_KEYS).toEqual(expect.arrayContaining(Object.keys(LIMIT_KEYS)));
  const published = join(import.meta.dirname, "..", "..", "docs", "fettle.config.schema.json");
  expect(JSON.parse(readFileSync(published, "utf8"))).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
});
