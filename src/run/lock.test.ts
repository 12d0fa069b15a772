import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openRunFolder } from "./folder.ts";
import { summariseRun } from "./list.ts";
import { clearFolder, requireFreeFolder, setAside } from "./replace.ts";
import { requireSameRun } from "./resume.ts";

const newFolder = () => mkdtempSync(join(tmpdir(), "fettle-lock-"));
const BUSY = /^run: nothing else must be at work in .*, got a run that is — wait until it has ended, or choose another folder with --out$/;

test("a folder is refused while another process works in it, and taken over when that was killed", async () => {
  const dir = newFolder();
  const source = `
    const { openRunFolder } = await import(${JSON.stringify(join(import.meta.dirname, "folder.ts"))});
    openRunFolder(${JSON.stringify(dir)}, { command: "prune" });
    console.log("open");
    setInterval(() => {}, 1000);
  `;
  const other = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: ["ignore", "pipe", "ignore"] });
  const closed = new Promise((resolve) => other.once("close", resolve));
  await new Promise((resolve) => other.stdout.once("data", resolve));
  writeFileSync(join(dir, "model.onnx"), "of the other");
  const attempts = [
    () => requireFreeFolder(dir, { overwrite: true }),
    () => requireSameRun(dir, { command: "prune" }),
    () => clearFolder(dir),
    () => setAside(dir),
    () => openRunFolder(dir, { command: "train" }),
  ];
  for (const attempt of attempts) expect(attempt).toThrow(BUSY);
  expect(readFileSync(join(dir, "config.json"), "utf8")).toContain("prune");
  expect(existsSync(join(dir, "model.onnx"))).toBe(true);
  expect(summariseRun(dir).isRunning).toBe(true);
  other.kill("SIGKILL");
  await closed;
  expect(summariseRun(dir).isRunning).toBe(false);
  requireSameRun(dir, { command: "prune" });
  using _run = openRunFolder(dir, { command: "prune" });
  expect(() => clearFolder(dir)).toThrow(BUSY);
});

test("a folder is free again when its run is over, or could not begin", () => {
  const dir = newFolder();
  writeFileSync(join(dir, "run.db"), "x".repeat(5000));
  expect(() => openRunFolder(dir, {})).toThrow("no database of a run");
  clearFolder(dir);
  openRunFolder(dir, {})[Symbol.dispose]();
  clearFolder(dir);
  const parent = newFolder();
  openRunFolder(join(parent, "run"), {}).discard();
  expect(readdirSync(parent)).toEqual([]);
});
