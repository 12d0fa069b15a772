import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bringBack, clearFolder, requireFreeFolder, requireSameRun, setAside } from "./resume.ts";

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

test("nothing to go on with is said", () => {
  expect(() => requireSameRun(join(dir, "none"), config)).toThrow(/must hold a run that was begun, got no config.json/);
});

test("a folder that holds a run is not written over unless asked to, and then nothing of it is gone on with", () => {
  const used = mkdtempSync(join(tmpdir(), "fettle-used-"));
  requireFreeFolder(used);
  requireFreeFolder(join(used, "new"));
  writeFileSync(join(used, "config.json"), "{}");
  requireFreeFolder(used); // nothing was worked for yet
  const files = ["checkpoint.safetensors", "run.db", "model.onnx", "card.json", "weights.safetensors"];
  for (const file of files) writeFileSync(join(used, file), "{}");
  expect(() => requireFreeFolder(used)).toThrow(
    /run: .* must be a new folder, got one that holds a run — choose another with --out, or give --overwrite/,
  );
  expect(() => requireFreeFolder(used, { overwrite: true, model: join(used, "model.onnx") })).toThrow(
    /run: --out must be another folder than that of the model, got /,
  );
  requireFreeFolder(used, { overwrite: true });
  for (const file of files) expect(existsSync(join(used, file))).toBe(true);
  clearFolder(used);
  for (const file of files) expect(existsSync(join(used, file))).toBe(false);
});

test("a run set aside comes back when the one that replaces it cannot begin, and is gone when it can", () => {
  const used = mkdtempSync(join(tmpdir(), "fettle-aside-"));
  const read = (file: string) => readFileSync(join(used, file), "utf8");
  for (const file of ["config.json", "run.db", "model.onnx"]) writeFileSync(join(used, file), "old");
  setAside(used);
  expect(existsSync(join(used, "model.onnx"))).toBe(false);
  writeFileSync(join(used, "config.json"), "new");
  writeFileSync(join(used, "run.db-wal"), "new");
  bringBack(used);
  expect(["config.json", "run.db", "model.onnx"].map(read)).toEqual(["old", "old", "old"]);
  expect(readdirSync(used)).toHaveLength(3);
  const second = setAside(used);
  writeFileSync(join(used, "config.json"), "new");
  second.remove();
  bringBack(used);
  expect(readdirSync(used)).toEqual(["config.json"]);
  expect(read("config.json")).toBe("new");
});

test("a run set aside comes back to whoever uses the folder next, when the one that was to replace it was killed before it began", () => {
  const used = mkdtempSync(join(tmpdir(), "fettle-aside-"));
  for (const file of ["config.json", "run.db", "model.onnx"]) writeFileSync(join(used, file), "old");
  setAside(used);
  for (const file of ["config.json", "run.db"]) writeFileSync(join(used, file), "new");
  expect(() => requireFreeFolder(used)).toThrow("got one that holds a run");
  expect(readFileSync(join(used, "model.onnx"), "utf8")).toBe("old");
});
