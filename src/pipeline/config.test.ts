import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { checkConfig } from "./check-config.ts";
import { CONFIG_KEYS, configJsonSchema, defineConfig, plainNaming, resolveConfig } from "./config.ts";
import { LIMIT_KEYS } from "./limits.ts";

test("defaults are filled in, objects of a program are taken as they are", () => {
  const device = { name: "mine", kind: "table", overheadMs: 0, latencyMs: async () => 1 } as const;
  const resolved = resolveConfig(defineConfig({ data: "fashion-mnist", device, maxMacs: "5M" }), plainNaming("config"));
  expect(resolved).toMatchObject({ data: "fashion-mnist", method: "auto", seed: 0, maxMacs: "5M" });
  expect(resolved.device).toBe(device);
});

const own = { data: "fashion-mnist" };
test.each([
  [{ ...own, maxLatncy: "1ms" }, 'config: keys must be known, got "maxLatncy" — did you mean maxLatency?'],
  [{ ...own, zzzzzzzzzzzz: 1 }, 'config: keys must be known, got "zzzzzzzzzzzz"'],
  [null, "config: the configuration must be an object of settings, got null"],
  [{}, /^config: data must be given, got none — for example images:photos/],
  [{ data: 3 }, /^config: data must be fashion-mnist, idx:DIR, cifar10:DIR or images:DIR, got 3$/],
  [{ ...own, maxMacs: 5_000_000 }, 'config: maxMacs must be text with a unit such as "5M" or "50%", got 5000000'],
  [{ ...own, time: 30 }, 'config: time must be text with a unit such as "30m" or "2h", got 30'],
  [{ ...own, batch: 0.5 }, /^config: batch must be a whole number from 1, got 0\.5$/],
  [{ ...own, method: "fast" }, /^config: method must be auto, joint or pipeline, got "fast"$/],
  [{ ...own, input: [3, 0, 8] }, /^config: input must be channels, height and width .* such as \[3, 224, 224\], got \[3,0,8\]$/],
  [{ ...own, flip: "no" }, 'config: flip must be true or false, got "no"'],
  [{ ...own, device: 7 }, "config: device must be cpu, bitfusion, bismo-edge, bismo-cloud, FILE.json or FILE.yaml, got 7"],
  [
    { ...own, device: { name: "board", kind: "table" } },
    /^config: device must have name, kind, overheadMs, latencyMs, got none of overheadMs, latencyMs — deviceContract/,
  ],
  [
    { ...own, device: { name: "chip", kind: "simulated", overheadMs: 0, latencyMs: () => {}, layerCost: () => {} } },
    /, got none of precisions, energyMj — /,
  ],
  [{ data: { train: 1 } }, /^config: data must have train, .*, got none of validation, test, normalisation — dataFromImages/],
])("%j is refused", (config, message) => {
  expect(() => resolveConfig(config, plainNaming("config"))).toThrow(message);
});

test.each([
  [{ maxLatency: "banana" }, /^f\.json: maxLatency: must be a positive number with one of the units us, .*got "banana"/],
  [{ maxMacs: "5M", time: "soon" }, /^f\.json: time: must be a duration in s, m or h, got "soon"/],
  [{}, /^f\.json: at least one of maxLatency, .* must be given, got none$/],
  [{ maxMacs: "5M", mean: [0] }, "f.json: mean must be left out without a model, got [0]"],
])("%j cannot be run", (config, message) => {
  const naming = plainNaming("f.json");
  expect(() => checkConfig(resolveConfig({ ...own, ...config }, naming), naming)).toThrow(message);
});

test("every limit is a key, and the published schema is this one", () => {
  expect(CONFIG_KEYS).toEqual(expect.arrayContaining(Object.keys(LIMIT_KEYS)));
  const published = join(import.meta.dirname, "..", "..", "docs", "fettle.config.schema.json");
  expect(JSON.parse(readFileSync(published, "utf8"))).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
});
