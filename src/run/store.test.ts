import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openRunFolder } from "./folder.ts";
import { openStore } from "./store.ts";

const folder = () => mkdtempSync(join(tmpdir(), "fettle-store-"));
const bytes = (text: string) => new TextEncoder().encode(text);

test("keeps events and trials in order, across openings", () => {
  const dir = folder();
  {
    using store = openStore(dir);
    store.addEvent(new Date(0), "epoch", { epoch: 0 });
    store.addEvent(new Date(1000), "episode", { accuracy: 0.5 });
    store.addEvent(new Date(2000), "epoch", { epoch: 1 });
    for (const value of [3, 1, 2]) store.addTrial("a", { value });
    store.addTrial("b", [1]);
  }
  using store = openStore(dir);
  expect(store.events("epoch")).toEqual([
    { time: "1970-01-01T00:00:00.000Z", type: "epoch", epoch: 0 },
    { time: "1970-01-01T00:00:02.000Z", type: "epoch", epoch: 1 },
  ]);
  expect(store.events().map(({ type }) => type)).toEqual(["epoch", "episode", "epoch"]);
  expect(store.trials("a")).toEqual([{ value: 3 }, { value: 1 }, { value: 2 }]);
  store.clearTrials("a");
  expect([store.trials("a"), store.trials("b")]).toEqual([[], [[1]]]);
});

test("keeps every version of an artefact under its hash, and the last under its name", () => {
  const dir = folder();
  using store = openStore(dir);
  store.putArtefact(new Date(0), "model.onnx", bytes("first"));
  store.putArtefact(new Date(0), "model.onnx", bytes("second"));
  store.putArtefact(new Date(0), "copy.onnx", bytes("first"));
  expect(readFileSync(join(dir, "model.onnx"), "utf8")).toBe("second");
  expect(readFileSync(join(dir, "copy.onnx"), "utf8")).toBe("first");
  expect(readdirSync(join(dir, "artefacts"))).toHaveLength(2);
  expect(store.artefacts().map(({ name, bytes: size }) => [name, size])).toEqual([
    ["copy.onnx", 5],
    ["model.onnx", 6],
  ]);
  for (const { name, sha256 } of store.artefacts())
    expect(readFileSync(join(dir, "artefacts", sha256)).equals(readFileSync(join(dir, name)))).toBe(true);
});

test("a process that is killed loses nothing that it stored", () => {
  const dir = folder();
  const source = `
    const { openStore } = await import(${JSON.stringify(join(import.meta.dirname, "store.ts"))});
    const store = openStore(${JSON.stringify(dir)});
    for (let i = 0; i < 50; i++) store.addTrial("t", i);
    process.kill(process.pid, "SIGKILL");
  `;
  expect(() => execFileSync(process.execPath, ["--input-type=module", "-e", source], { stdio: "ignore" })).toThrow();
  using store = openStore(dir);
  expect(store.trials("t")).toEqual(Array.from({ length: 50 }, (_, i) => i));
});

test("a journal starts empty unless it is gone on with", () => {
  const dir = folder();
  {
    using run = openRunFolder(dir, {});
    run.journal<number>("t", false).append(1);
  }
  {
    using run = openRunFolder(dir, {});
    expect(run.journal<number>("t", true).entries).toEqual([1]);
  }
  using run = openRunFolder(dir, {});
  expect(run.journal<number>("t", false).entries).toEqual([]);
});

test("a damaged database is one clear line", () => {
  const dir = folder();
  writeFileSync(join(dir, "run.db"), "x".repeat(5000));
  expect(() => openStore(dir)).toThrow(/^write: .*run\.db must be writable, got no database of a run \(file is not a database\)$/);
});

test.skipIf(!existsSync("/dev/full") || !statSync("/dev/full").isCharacterDevice())(
  "a folder that cannot be written is one clear line",
  () => {
    expect(() => openStore("/dev/full")).toThrow(/^write: \/dev\/full\/run\.db must be writable, got /);
  },
);
