import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { channelBlock, checkVersion, findLibraries, loadLibrary, requireAvx2 } from "./library.ts";

const folder = () => mkdtempSync(join(tmpdir(), "fettle-library-"));

test("finds both generations, newest first, whatever the file is called", () => {
  const [a, b] = [folder(), folder()];
  for (const [dir, file] of [
    [a, "libdnnl.so.2.6"],
    [a, "libdnnl.so.2"],
    [b, "libdnnl.so.3.6"],
    [b, "libdnnl.so"],
    [b, "libdnnl.3.dylib"],
    [a, "libdnnl.so.1"],
  ] as const) {
    writeFileSync(join(dir, file), "");
  }
  const found = findLibraries([a, join(a, "missing"), b]);
  expect(found.slice(0, 2).sort()).toEqual([join(b, "libdnnl.3.dylib"), join(b, "libdnnl.so.3.6")].sort());
  expect(found.slice(2)).toEqual([join(a, "libdnnl.so.2"), join(a, "libdnnl.so.2.6")]);
});

test("a missing library names the commands that install it", () => {
  const missing = join(folder(), "libdnnl.so.2");
  for (const hint of [
    `${missing} does not exist`,
    "sudo apt-get install libdnnl2",
    "sudo dnf install onednn",
    "brew install onednn",
    "conda install -c conda-forge onednn",
  ]) {
    expect(() => loadLibrary(missing)).toThrow(hint);
  }
});

test("a file that is no library is refused in one line", () => {
  const dir = folder();
  mkdirSync(dir, { recursive: true });
  const path = join(dir, "libdnnl.so.2");
  writeFileSync(path, "not a library");
  try {
    loadLibrary(path);
    expect.unreachable();
  } catch (error) {
    expect((error as Error).message).toMatch(/^engine: oneDNN 2\.6 or newer must load, got .*libdnnl\.so\.2/);
    expect((error as Error).message).not.toContain("\n");
  }
});

test.each([
  [1, 96],
  [2, 5],
  [4, 0],
])("version %i.%i is refused", (major, minor) => {
  expect(() => checkVersion("libdnnl.so", major, minor)).toThrow(`libdnnl.so is oneDNN ${major}.${minor}, supported are 2.6 to 3.x`);
});
test.each([
  [2, 6],
  [2, 7],
  [3, 0],
  [3, 9],
])("version %i.%i is accepted", (major, minor) => expect(() => checkVersion("x", major, minor)).not.toThrow());

test("a CPU without AVX2 is refused; other architectures are not asked", () => {
  expect(() => requireAvx2("flags : sse4_2 avx", "x64")).toThrow("engine: the CPU must have AVX2, got one without it");
  expect(() => requireAvx2("flags : avx avx2", "x64")).not.toThrow();
  expect(() => requireAvx2("", "arm64")).not.toThrow();
});

test("the activation layout follows the vector unit", () => {
  expect(channelBlock("flags : avx2")).toBe(8);
  expect(channelBlock("flags : avx2 avx512f avx512bw avx512dq")).toBe(16);
});
