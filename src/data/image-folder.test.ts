import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { type ImageFileOptions, temporaryDirectory, write, writeClasses, writeImage } from "./fixtures.ts";
import { loadData } from "./load.ts";
import type { ImageSet } from "./types.ts";

const load = (directory: string) => loadData(`images:${directory}`, { validationRatio: 0 });

async function faultOf(directory: string): Promise<string> {
  const error = await load(directory).then(
    () => null,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(AppError);
  expect((error as AppError).code).toBe("DATA");
  return (error as AppError).message.replaceAll(directory, "DIR");
}

/** The colour of pixel (y, x) of image n. */
function pixel({ shape: [, height, width], images }: ImageSet, n: number, y: number, x: number): number[] {
  return [0, 1, 2].map((c) => images[((n * 3 + c) * height + y) * width + x]!);
}

/** train/ with `file` as its first image and enough others, and test/. */
async function writeAround(directory: string, file: string, content: Uint8Array, others: ImageFileOptions = {}): Promise<void> {
  await writeClasses(join(directory, "train"), { a: 1, b: 1 }, others);
  await writeClasses(join(directory, "test"), { b: 1 }, others);
  await write(join(directory, "test", "a", file), content);
}

describe("layouts", () => {
  test("train/ and test/ keep their images; validation is cut from train/", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(join(dir.path, "train"), { cat: 10, dog: 10 }, { colour: { r: 10, g: 20, b: 30 } });
    await writeClasses(join(dir.path, "test"), { cat: 2, dog: 3 }, { colour: { r: 40, g: 50, b: 60 } });
    const { train, validation, test: testSet } = await loadData(`images:${dir.path}`);
    expect(train.classes).toEqual(["cat", "dog"]);
    expect(train.shape).toEqual([3, 4, 4]);
    expect([train.count, validation.count]).toEqual([18, 2]);
    expect([...testSet.labels]).toEqual([0, 0, 1, 1, 1]);
    expect(pixel(train, 0, 0, 0)).toEqual([10, 20, 30]);
    expect(pixel(testSet, 4, 3, 3)).toEqual([40, 50, 60]);
  });

  test("val/ beside test/ holds the validation images, and without it the test images", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(join(dir.path, "train"), { a: 10, b: 10 });
    await writeClasses(join(dir.path, "val"), { a: 3, b: 1 });
    const alone = await loadData(`images:${dir.path}`);
    expect([alone.train.count, alone.validation.count, alone.test.count]).toEqual([18, 2, 4]);
    await writeClasses(join(dir.path, "test"), { a: 1, b: 1 });
    const beside = await loadData(`images:${dir.path}`);
    expect([beside.train.count, beside.validation.count, beside.test.count]).toEqual([20, 4, 2]);
  });

  test("class folders directly in the directory are split by seed", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(dir.path, { a: 20, b: 30 });
    const { train, validation, test: testSet } = await loadData(`images:${dir.path}`, { testRatio: 0.2, validationRatio: 0.1 });
    expect([train.count, validation.count, testSet.count]).toEqual([36, 4, 10]);
    expect([0, 1].map((label) => testSet.labels.filter((l) => l === label).length)).toEqual([4, 6]);
  });

  test("hidden entries and other files are left out, links are followed", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(join(dir.path, "real"), { a: 5, b: 5 });
    await mkdir(join(dir.path, "data"));
    for (const name of ["a", "b"]) await symlink(join(dir.path, "real", name), join(dir.path, "data", name));
    await mkdir(join(dir.path, "data", ".cache"));
    await write(join(dir.path, "data", "README.txt"), "about");
    await write(join(dir.path, "real", "a", "Thumbs.db"), "x");
    const { train, validation, test: testSet } = await loadData(`images:${dir.path}/data`);
    expect(train.classes).toEqual(["a", "b"]);
    expect(train.count + validation.count + testSet.count).toBe(10);
  });
});

describe("decoding", () => {
  test.each(["x.png", "x.jpg", "X.JPEG", "x.webp"])("reads %s", async (file) => {
    await using dir = await temporaryDirectory();
    const source = join(dir.path, "source", file.toLowerCase());
    await writeImage(source);
    await writeAround(join(dir.path, "data"), file, await readFile(source));
    const { test: testSet } = await load(join(dir.path, "data"));
    pixel(testSet, 0, 2, 2).forEach((value, c) => {
      expect(Math.abs(value - [200, 100, 50][c]!)).toBeLessThanOrEqual(3);
    });
  });

  test("grey images fill all channels, 16 bits become 8, transparency is black", async () => {
    await using dir = await temporaryDirectory();
    const raw = { raw: { width: 4, height: 4, channels: 1 as const } };
    const grey = await sharp(Buffer.alloc(16, 90), raw).toColourspace("b-w").png().toBuffer();
    expect((await sharp(grey).metadata()).channels).toBe(1);
    const deep = await sharp(Buffer.alloc(16, 90), raw).toColourspace("rgb16").png().toBuffer();
    expect((await sharp(deep).metadata()).depth).toBe("ushort");
    const clear = await sharp({ create: { width: 4, height: 4, channels: 4, background: { r: 200, g: 100, b: 50, alpha: 0 } } })
      .png()
      .toBuffer();
    await writeAround(dir.path, "0.png", grey);
    await write(join(dir.path, "test", "a", "1.png"), deep);
    await write(join(dir.path, "test", "a", "2.png"), clear);
    const { test: testSet } = await load(dir.path);
    expect(pixel(testSet, 0, 1, 1)).toEqual([90, 90, 90]);
    expect(pixel(testSet, 1, 1, 1)).toEqual([90, 90, 90]);
    expect(pixel(testSet, 2, 1, 1)).toEqual([0, 0, 0]);
  });

  test("EXIF orientation turns the image and its size", async () => {
    await using dir = await temporaryDirectory();
    // Left half black, right half white, stored lying: upright (orientation 6, a quarter turn clockwise) the top half is black.
    const bytes = Uint8Array.from({ length: 8 * 4 * 3 }, (_, i) => (Math.floor(i / 3) % 8 < 4 ? 0 : 255));
    const turned = await sharp(bytes, { raw: { width: 8, height: 4, channels: 3 } })
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    await writeAround(dir.path, "0.png", turned, { width: 4, height: 8 });
    const { test: testSet } = await load(dir.path);
    expect(testSet.shape).toEqual([3, 8, 4]);
    expect(pixel(testSet, 0, 0, 3)).toEqual([0, 0, 0]);
    expect(pixel(testSet, 0, 7, 0)).toEqual([255, 255, 255]);
  });
});

describe("size", () => {
  test("is the images' own when they agree and no side is over 64", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(dir.path, { a: 5, b: 5 }, { width: 64, height: 20 });
    expect((await loadData(`images:${dir.path}`)).train.shape).toEqual([3, 20, 64]);
  });

  test("is 64 when images differ or are larger", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(join(dir.path, "mixed"), { a: 5, b: 5 });
    await writeImage(join(dir.path, "mixed", "b", "odd.png"), { width: 5, height: 4 });
    expect((await loadData(`images:${dir.path}/mixed`)).train.shape).toEqual([3, 64, 64]);
    await writeClasses(join(dir.path, "large"), { a: 5, b: 5 }, { width: 65, height: 65 });
    expect((await loadData(`images:${dir.path}/large`)).train.shape).toEqual([3, 64, 64]);
  });

  test("is what was asked for; the centre is kept", async () => {
    await using dir = await temporaryDirectory();
    // 30×10: a red, a green and a blue square side by side.
    const squares = await sharp({ create: { width: 30, height: 10, channels: 3, background: { r: 0, g: 255, b: 0 } } })
      .composite([
        { input: { create: { width: 10, height: 10, channels: 3, background: { r: 255, g: 0, b: 0 } } }, left: 0, top: 0 },
        { input: { create: { width: 10, height: 10, channels: 3, background: { r: 0, g: 0, b: 255 } } }, left: 20, top: 0 },
      ])
      .png()
      .toBuffer();
    await writeAround(dir.path, "0.png", squares);
    const { test: testSet } = await loadData(`images:${dir.path}`, { size: 10, validationRatio: 0 });
    expect(testSet.shape).toEqual([3, 10, 10]);
    for (const x of [0, 5, 9]) expect(pixel(testSet, 0, 5, x)).toEqual([0, 255, 0]);
  });
});

describe("faults", () => {
  test("a missing directory", async () => {
    await using dir = await temporaryDirectory();
    expect(await faultOf(join(dir.path, "none"))).toBe(
      "data DIR: must be a directory, got nothing there — give a directory with a folder of images for each class",
    );
    await write(join(dir.path, "file"), "x");
    expect(await faultOf(join(dir.path, "file"))).toBe(
      "data DIR: must be a directory, got a file — give a directory with a folder of images for each class",
    );
  });

  test("no class folder, or one", async () => {
    await using dir = await temporaryDirectory();
    await writeImage(join(dir.path, "loose.png"));
    expect(await faultOf(dir.path)).toBe("data DIR: must hold a folder for each of at least 2 classes, got none and 1 files");
    await writeClasses(dir.path, { cat: 1 });
    expect(await faultOf(dir.path)).toBe('data DIR: must hold a folder for each of at least 2 classes, got only "cat"');
  });

  test("an empty class folder", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(dir.path, { a: 2 });
    await write(join(dir.path, "b", "notes.txt"), "x");
    expect(await faultOf(dir.path)).toBe(
      "data DIR/b: a class folder must hold .jpg, .jpeg, .png or .webp images, got none among 1 files and 0 folders — add some or remove the folder",
    );
  });

  test("classes that differ between train/ and test/", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(join(dir.path, "train"), { a: 1, b: 1, c: 1 });
    await writeClasses(join(dir.path, "test"), { a: 1, b: 1, d: 1 });
    expect(await faultOf(dir.path)).toBe('data DIR/test: must have the class folders of train/, got no "c", an extra "d"');
  });

  test("an image that is none: the first in order is named", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(dir.path, { a: 6, b: 6 });
    await write(join(dir.path, "b", "001.png"), "not an image");
    await write(join(dir.path, "a", "003.png"), "not an image");
    expect(await faultOf(dir.path)).toBe(
      'data DIR/a/003.png: must be a readable image, got "Input buffer contains unsupported image format" — replace or remove the file',
    );
  });

  test.each(["png", "jpg", "webp"] as const)("a truncated .%s", async (extension) => {
    await using dir = await temporaryDirectory();
    const noise = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 7919) & 255);
    const whole = await sharp(noise, { raw: { width: 32, height: 32, channels: 3 } })
      .toFormat(extension === "jpg" ? "jpeg" : extension)
      .toBuffer();
    await writeAround(dir.path, `0.${extension}`, whole.subarray(0, whole.length * 0.6), { width: 32, height: 32 });
    expect(await faultOf(dir.path)).toMatch(
      new RegExp(`^data DIR/test/a/0\\.${extension}: must be a readable image, got ".+" — replace or remove the file$`),
    );
  });
});
