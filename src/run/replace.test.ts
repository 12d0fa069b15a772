import * as fs from "node:fs";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test, vi } from "vitest";
import { bringBack, clearFolder, requireFreeFolder, setAside } from "./replace.ts";

/** Changes of the file system that are still made before the process is killed. */
const kill = vi.hoisted(() => ({ after: Number.POSITIVE_INFINITY }));
vi.mock("node:fs", async (original) => {
  const real = await original<typeof fs>();
  const mortal = (name: "mkdirSync" | "renameSync" | "rmSync") => {
    return (...args: unknown[]) => {
      if (kill.after-- <= 0) throw new Error("killed");
      return (real[name] as (...all: unknown[]) => unknown)(...args);
    };
  };
  return { ...real, mkdirSync: mortal("mkdirSync"), renameSync: mortal("renameSync"), rmSync: mortal("rmSync") };
});

const newFolder = () => mkdtempSync(join(tmpdir(), "fettle-replace-"));

/** Files by name, with folders. */
function write(dir: string, files: readonly string[], text: string): void {
  for (const file of files) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    writeFileSync(join(dir, file), text);
  }
}

test("a folder that holds a run is not written over unless asked to, and then nothing of it is gone on with", () => {
  const used = newFolder();
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
  const used = newFolder();
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
  const used = newFolder();
  for (const file of ["config.json", "run.db", "model.onnx"]) writeFileSync(join(used, file), "old");
  setAside(used);
  for (const file of ["config.json", "run.db"]) writeFileSync(join(used, file), "new");
  expect(() => requireFreeFolder(used)).toThrow("got one that holds a run");
  expect(readFileSync(join(used, "model.onnx"), "utf8")).toBe("old");
});

test("the model that a run begins with is refused wherever in the folder a run keeps it", () => {
  const used = newFolder();
  write(used, ["config.json", "run.db", "pruned/model.onnx", "supernet/supernet.safetensors", "mine/model.onnx"], "old");
  for (const model of ["pruned/model.onnx", "supernet/supernet.safetensors"])
    expect(() => requireFreeFolder(used, { overwrite: true, model: join(used, model) })).toThrow(
      `run: --out must be another folder than that of the model, got ${used} with ${model} in it`,
    );
  requireFreeFolder(used, { overwrite: true, model: join(used, "mine", "model.onnx") });
  requireFreeFolder(join(used, "pruned", "again"), { overwrite: true, model: join(used, "pruned", "model.onnx") });
  const link = join(newFolder(), "link");
  fs.symlinkSync(used, link);
  expect(() => requireFreeFolder(link, { overwrite: true, model: join(used, "pruned", "model.onnx") })).toThrow("another folder");
});

test("of a comparison its routes go as well; folders of the same name beside other runs stay", () => {
  const [compared, pruned] = [newFolder(), newFolder()];
  const files = ["config.json", "run.db", "joint/model.onnx", "8-bits/model.onnx", "sequential/pruned/model.onnx"];
  write(compared, [...files, "compare.json", "mine.txt"], "old");
  write(pruned, [...files, "space.json"], "old");
  clearFolder(compared);
  clearFolder(pruned);
  expect(readdirSync(compared).sort()).toEqual(["mine.txt"]);
  expect(readdirSync(pruned).sort()).toEqual(["8-bits", "joint", "sequential"]);
});

test("a run that is set aside or brought back is whole again, at whatever moments the process was killed", () => {
  const files = ["config.json", "run.db", "model.onnx", "card.json", "pruned/model.onnx", "artefacts/a"];
  /** Whether the process lived. */
  const until = (moment: number, work: () => void): boolean => {
    kill.after = moment;
    try {
      work();
      return true;
    } catch (error) {
      expect((error as Error).message).toBe("killed");
      return false;
    } finally {
      kill.after = Number.POSITIVE_INFINITY;
    }
  };
  /** Killed while it is set aside, then while it is brought back. */
  const survives = (first: number, second: number): { readonly isAside: boolean; readonly isBack: boolean } => {
    const used = newFolder();
    write(used, files, "old");
    const isAside = until(first, () => setAside(used));
    if (isAside) write(used, ["config.json", "run.json", "run.db", "run.db-wal", "pruned/config.json"], "new");
    const isBack = until(second, () => bringBack(used));
    bringBack(used);
    const moments = `killed after ${first} and ${second} changes`;
    expect(
      files.map((file) => existsSync(join(used, file)) && readFileSync(join(used, file), "utf8")),
      moments,
    ).toEqual(files.map(() => "old"));
    expect([readdirSync(used).length, readdirSync(join(used, "pruned"))], moments).toEqual([files.length, ["model.onnx"]]);
    return { isAside, isBack };
  };
  let first = 0;
  for (let isAside = false; !isAside; first++) {
    let second = 0;
    for (let isBack = false; !isBack; second++) ({ isAside, isBack } = survives(first, second));
    expect(second).toBeGreaterThan(Math.min(first, files.length));
  }
  expect(first).toBeGreaterThan(files.length);
});
