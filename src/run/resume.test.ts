import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { requireSameRun } from "./resume.ts";

const dir = mkdtempSync(join(tmpdir(), "fettle-resume-"));
const config = { command: "prune", seed: 1, budget: { kind: "macs", ratio: 0.5 }, episodes: 100, epochs: 4, recipe: { lr: 0.1 } };
writeFileSync(join(dir, "config.json"), JSON.stringify(config));

test("more episodes and another training afterwards are allowed", () => {
  requireSameRun(dir, { ...config, episodes: 200, epochs: 8, recipe: { lr: 0.2 }, baselines: true, limit: undefined });
});

test("what changes the search is refused, with both values", () => {
  expect(() => requireSameRun(dir, { ...config, budget: { kind: "macs", ratio: 0.4 } })).toThrow(
    /resume: budget must be \{"kind":"macs","ratio":0.5\} as when .* was begun, got \{"kind":"macs","ratio":0.4\}/,
  );
  expect(() => requireSameRun(dir, { ...config, size: 32 })).toThrow(/resume: size must be nothing as when .*, got 32/);
});

test("other inputs of the same name are refused; what an older version did not write down is not asked for", () => {
  requireSameRun(dir, { ...config, imagesSha256: ["a"] });
  const known = mkdtempSync(join(tmpdir(), "fettle-resume-"));
  writeFileSync(join(known, "config.json"), JSON.stringify({ ...config, imagesSha256: ["a"] }));
  requireSameRun(known, { ...config, imagesSha256: ["a"] });
  expect(() => requireSameRun(known, { ...config, imagesSha256: ["b"] })).toThrow(/imagesSha256 must be \["a"\] as when .*, got \["b"\]/);
});

test("nothing to go on with is said", () => {
  expect(() => requireSameRun(join(dir, "none"), config)).toThrow(/must hold a run that was begun, got no config.json/);
});
