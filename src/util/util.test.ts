import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { finished } from "./disposal.ts";
import { writeFileAtomic } from "./files.ts";
import { nearest } from "./nearest.ts";
import { createProgress, type ProgressEvent } from "./progress.ts";
import { createRng } from "./rng.ts";
import { formatBytes, formatCount, formatMs, formatPercent, parseQuantity } from "./units.ts";

describe("quantities", () => {
  test.each([
    ["4ms", "latency", 4],
    ["0.5 ms", "latency", 0.5],
    ["250us", "latency", 0.25],
    ["1.5s", "latency", 1500],
    ["500KB", "size", 500e3],
    ["1MiB", "size", 1048576],
    ["300M", "count", 3e8],
    ["7", "count", 7],
    ["5mJ", "energy", 5],
  ] as const)("%s of %s", (text, dimension, value) => {
    expect(parseQuantity(text, dimension, "--limit")).toEqual({ kind: "absolute", value: expect.closeTo(value, 9) });
  });
  test("a percentage is a ratio", () => expect(parseQuantity("60%", "latency", "x")).toEqual({ kind: "percent", ratio: 0.6 }));
  test.each([
    ["4", "latency"],
    ["4 potatoes", "latency"],
    ["-1ms", "latency"],
    ["0ms", "latency"],
    ["", "count"],
    ["ms", "latency"],
    ["1e3", "count"],
    ["NaN", "count"],
  ] as const)("%j is no %s", (text, dimension) => {
    expect(() => parseQuantity(text, dimension, "--limit")).toThrow(
      /^--limit: must be a positive number with one of the units .* or %, got ".*" — for example .* or 60%$/,
    );
  });
  test("numbers are printed with three digits or so, and a unit", () => {
    expect([
      formatMs(0.1234),
      formatMs(12.34),
      formatBytes(1_234_567),
      formatCount(40_552_000),
      formatCount(12),
      formatPercent(0.8712),
    ]).toEqual(["123 us", "12.3 ms", "1.23 MB", "40.6 M", "12", "87.12%"]);
  });
});

describe("randomness", () => {
  const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
  test("same seed, same stream; forks depend on their label, not on earlier draws", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const [a, b] = [createRng(seed), createRng(seed)];
        expect([a.uniform(), a.int(10), a.normal()]).toEqual([b.uniform(), b.int(10), b.normal()]);
        expect(a.fork("x").uniform()).toBe(createRng(seed).fork("x").uniform());
        expect(a.fork("x").uniform()).not.toBe(a.fork("y").uniform());
      }),
    );
  });
  test("uniform and normal have their moments", () => {
    const rng = createRng(1);
    const draws = (of: () => number) => Array.from({ length: 50_000 }, of);
    const mean = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
    const uniform = draws(rng.uniform);
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
    expect(mean(uniform)).toBeCloseTo(0.5, 1);
    const normal = draws(rng.normal);
    expect(mean(normal)).toBeCloseTo(0, 1);
    expect(mean(normal.map((v) => v * v))).toBeCloseTo(1, 1);
  });
  test("neighbouring seeds are unrelated", () => {
    const firsts = Array.from({ length: 1000 }, (_, seed) => createRng(seed).uniform());
    expect(firsts.reduce((sum, v) => sum + v, 0) / 1000).toBeCloseTo(0.5, 1);
    expect(new Set(firsts).size).toBe(1000);
  });
  test("shuffling keeps every item; impossible categories are never drawn", () => {
    fc.assert(
      fc.property(seeds, fc.array(fc.nat(), { maxLength: 20 }), (seed, items) => {
        expect(
          createRng(seed)
            .shuffle([...items])
            .sort(),
        ).toEqual([...items].sort());
      }),
    );
    const rng = createRng(3);
    for (let i = 0; i < 1000; i++) expect([1, 3]).toContain(rng.categorical([0, 1, 0, 2, 0]));
  });
});

test("the nearest name, if any is near", () => {
  expect(nearest("resnet20", ["resnet-20", "resnet-32", "plain-20"])).toBe("resnet-20");
  expect(nearest("zzzzzzzz", ["resnet-20"])).toBeNull();
});

test("remaining time follows the pace so far", () => {
  let nowMs = 0;
  const events: ProgressEvent[] = [];
  const report = createProgress("work", 10, { nowMs: () => nowMs, now: () => new Date(0) }, (event) => events.push(event));
  report(0);
  nowMs = 300; // too early to tell
  report(1);
  nowMs = 3000;
  report(3, "going");
  expect(events).toEqual([
    { task: "work", done: 0, total: 10 },
    { task: "work", done: 1, total: 10 },
    { task: "work", done: 3, total: 10, etaMs: 7000, message: "going" },
  ]);
});

describe("writing files", () => {
  test("makes folders and replaces the content", () => {
    const path = join(mkdtempSync(join(tmpdir(), "fettle-files-")), "a", "b.txt");
    writeFileAtomic(path, "one");
    writeFileAtomic(path, Uint8Array.of(116, 119, 111));
    expect(readFileSync(path, "utf8")).toBe("two");
  });
  test("says what stands in the way", () => {
    const dir = mkdtempSync(join(tmpdir(), "fettle-files-"));
    writeFileSync(join(dir, "file"), "");
    expect(() => writeFileAtomic(join(dir, "file", "x"), "")).toThrow(
      /^write: .* must be writable, got a file where a folder is needed — choose another folder$/,
    );
  });
  test.skipIf(process.getuid?.() !== 0)("a full disk is named and the old file stays (needs root for a small tmpfs)", () => {
    const dir = mkdtempSync(join(tmpdir(), "fettle-full-"));
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", dir]).status).toBe(0);
    try {
      const path = join(dir, "file");
      writeFileAtomic(path, "old");
      expect(() => writeFileAtomic(path, new Uint8Array(1 << 20))).toThrow(
        `write: ${path} must be writable, got a full disk — free some space`,
      );
      expect(readFileSync(path, "utf8")).toBe("old");
    } finally {
      spawnSync("umount", [dir]);
    }
  });
});

test("what cannot be finished is disposed of", () => {
  const events: string[] = [];
  const made = { [Symbol.dispose]: () => void events.push("disposed") };
  expect(finished(made, () => void events.push("finished"))).toBe(made);
  expect(events).toEqual(["finished"]);
  const fail = () => {
    throw new Error("no");
  };
  expect(() => finished(made, fail)).toThrow("no");
  expect(events).toEqual(["finished", "disposed"]);
});
