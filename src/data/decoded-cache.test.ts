import { readdir, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fillOnce } from "./decoded-cache.ts";
import { temporaryDirectory, write, writeClasses } from "./fixtures.ts";
import { openImageFolder } from "./image-folder.ts";
import { fingerprint } from "./image-set.ts";

/** A cache and a file; `fill` counts how often the bytes were made, and gives what is in them. */
async function setUp(dir: string, length = 4) {
  const paths = [join(dir, "a.png")];
  await write(paths[0]!, "one");
  let made = 0;
  const fill = async (what: unknown, options: { readonly mostBytes?: number; readonly worthMs?: number } = {}) => {
    const into = new Uint8Array(new SharedArrayBuffer(length));
    const isKept = await fillOnce({ dir: join(dir, "cache"), worthMs: 0, ...options }, { what, paths }, into, async () => {
      into.fill(++made);
    });
    return { isKept, value: into[0] };
  };
  return { path: paths[0]!, kept: join(dir, "cache", "decoded"), fill };
}

test("is made once for the same files, and again when what is asked, their size or their time differs", async () => {
  await using dir = await temporaryDirectory();
  const { path, fill } = await setUp(dir.path);
  expect(await fill("x")).toEqual({ isKept: false, value: 1 });
  expect(await fill("x")).toEqual({ isKept: true, value: 1 });
  expect(await fill("y")).toEqual({ isKept: false, value: 2 });
  await writeFile(path, "longer");
  expect(await fill("x")).toEqual({ isKept: false, value: 3 });
  await utimes(path, 1, 1);
  expect(await fill("x")).toEqual({ isKept: false, value: 4 });
  await rm(path);
  expect(await fill("x")).toEqual({ isKept: false, value: 5 });
});

test("is made again when the kept file is cut short, and not kept when it took no time", async () => {
  await using dir = await temporaryDirectory();
  const { kept, fill } = await setUp(dir.path);
  await fill("x");
  const [name] = await readdir(kept);
  await writeFile(join(kept, name!), "?");
  expect(await fill("x")).toEqual({ isKept: false, value: 2 });
  expect(await fill("x")).toEqual({ isKept: true, value: 2 });
  await fill("y", { worthMs: 60_000 });
  expect(await fill("y")).toEqual({ isKept: false, value: 4 });
});

test("what was not used for longest makes room, and what takes over half of it is not kept", async () => {
  await using dir = await temporaryDirectory();
  const { kept, fill } = await setUp(dir.path, 40);
  const room = { mostBytes: 100 };
  await fill("old", room);
  const [old] = await readdir(kept);
  await fill("new", room);
  const [added] = (await readdir(kept)).filter((name) => name !== old);
  await utimes(join(kept, added!), 2, 2);
  await utimes(join(kept, old!), 1, 1);
  expect(await fill("old", room)).toMatchObject({ isKept: true });
  await fill("third", room);
  expect(await readdir(kept)).toHaveLength(2);
  expect(await fill("old", room)).toMatchObject({ isKept: true });
  expect(await fill("fourth", { mostBytes: 79 })).toMatchObject({ isKept: false });
  expect(await fill("fourth", room)).toMatchObject({ isKept: false });
});

test("a cache that cannot be written is done without", async () => {
  await using dir = await temporaryDirectory();
  const { fill } = await setUp(dir.path);
  await writeFile(join(dir.path, "cache"), "a file");
  expect(await fill("x")).toEqual({ isKept: false, value: 1 });
  expect(await fill("x")).toEqual({ isKept: false, value: 2 });
});

test("a folder of images opened again gives the same images, their size too", async () => {
  await using dir = await temporaryDirectory();
  await writeClasses(join(dir.path, "images", "train"), { a: 3, b: 3 }, { width: 6, height: 5 });
  await writeClasses(join(dir.path, "images", "test"), { a: 1, b: 2 }, { width: 6, height: 5, colour: { r: 1, g: 2, b: 3 } });
  const load = async (cacheDir: string | null) => {
    let images = 0;
    const { train, test: testSource } = await openImageFolder(join(dir.path, "images"), {
      size: null,
      cache: { dir: cacheDir, worthMs: 0 },
    });
    const all = async (source: typeof train) => source.load(Int32Array.from(source.labels.keys()), () => images++);
    return { sets: [fingerprint(await all(train)), fingerprint(await all(testSource!))], shape: train.shape, images };
  };
  const plain = await load(null);
  expect(plain).toMatchObject({ shape: [3, 5, 6], images: 9 });
  const cache = join(dir.path, "cache");
  expect(await load(cache)).toEqual(plain);
  expect(await readdir(join(cache, "decoded"))).toHaveLength(3);
  expect(await load(cache)).toEqual(plain);
});
