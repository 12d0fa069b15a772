import { existsSync } from "node:fs";
import { rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { cifarFile, idxFile, temporaryDirectory, write, writeCifar, writeClasses, writeIdx } from "./fixtures.ts";
import { loadData } from "./load.ts";

/** The error that loading ends with, as "CODE message" with the directory written as DIR. */
async function faultOf(spec: string, directory: string, options: Parameters<typeof loadData>[1] = {}): Promise<string> {
  const error = await loadData(spec, options).then(
    () => null,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(AppError);
  const { code, message } = error as AppError;
  return `${code} ${message.replaceAll(directory, "DIR")}`;
}

const LABELS = Array.from({ length: 40 }, (_, i) => i % 4);
const TEST_LABELS = [0, 1, 2, 3, 3];

describe("idx", () => {
  test.each([false, true])("loads and splits, gzip'd: %s", async (isZipped) => {
    await using dir = await temporaryDirectory();
    await writeIdx(dir.path, LABELS, TEST_LABELS, isZipped);
    const { name, train, validation, test: testSet, normalisation } = await loadData(`idx:${dir.path}`);
    expect(name).toBe(`idx:${dir.path}`);
    expect(train.shape).toEqual([1, 2, 3]);
    expect(train.classes).toEqual(["0", "1", "2", "3"]);
    expect([train.count, validation.count, testSet.count]).toEqual([36, 4, 5]);
    expect([...testSet.labels]).toEqual(TEST_LABELS);
    // Pixels are the number of the image, so they tell where an image came from.
    const origins = [train, validation].flatMap((set) => Array.from(set.labels, (label, i) => [set.images[i * 6]!, label] as const));
    expect(origins.sort(([a], [b]) => a - b)).toEqual(LABELS.map((label, i) => [i, label]));
    const pixels = Array.from({ length: 36 }, (_, i) => train.images[i * 6]! / 255);
    expect(normalisation.mean[0]).toBeCloseTo(pixels.reduce((a, b) => a + b) / 36, 12);
  });

  test("faults", async () => {
    await using dir = await temporaryDirectory();
    const spec = `idx:${dir.path}`;
    const images = join(dir.path, "train-images-idx3-ubyte");
    const labels = join(dir.path, "train-labels-idx1-ubyte");
    const reset = () => writeIdx(dir.path, LABELS, TEST_LABELS);
    expect(await faultOf(`idx:${dir.path}/none`, dir.path)).toBe(
      "DATA data DIR/none: must be a directory, got nothing there — give the directory that holds train-images-idx3-ubyte",
    );
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data DIR: must hold train-images-idx3-ubyte (or that name with .gz), got no such file",
    );

    await reset();
    await truncate(images, 100);
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data DIR/train-images-idx3-ubyte: must have 256 bytes for 40×2×3, got 100 — fetch it again",
    );
    await truncate(images, 9);
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data DIR/train-images-idx3-ubyte: an IDX header must have 16 bytes, got 9 — fetch it again",
    );
    await write(images, idxFile([40], LABELS));
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data DIR/train-images-idx3-ubyte: IDX images must start with 0x00000803, got 0x00000801 — is it the right file?",
    );
    await write(images, idxFile([0, 2, 3], []));
    expect(await faultOf(spec, dir.path)).toBe("DATA data DIR/train-images-idx3-ubyte: must hold at least one pixel or label, got 0×2×3");

    await reset();
    await write(labels, idxFile([39], LABELS.slice(1)));
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data DIR/train-labels-idx1-ubyte: must have one label for each of 40 images, got 39 labels",
    );
    await reset();
    await write(join(dir.path, "t10k-labels-idx1-ubyte"), idxFile([5], [0, 1, 4, 2, 3]));
    expect(await faultOf(spec, dir.path)).toBe("DATA data DIR/t10k-labels-idx1-ubyte: labels must be in 0…3, got 4 for image 2");

    await writeIdx(
      dir.path,
      LABELS.map(() => 2),
      TEST_LABELS.map(() => 2),
    );
    expect(await faultOf(spec, dir.path)).toBe(`DATA data idx:DIR: training images must be of at least 2 classes, got only "2"`);
    await writeIdx(dir.path, [0, 1], [0, 1]);
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data idx:DIR: the validation split must hold at least 1 image, got 0 — add images or raise validationRatio",
    );
    await write(join(dir.path, "t10k-images-idx3-ubyte"), idxFile([2, 2, 2], Array(8).fill(0)));
    expect(await faultOf(spec, dir.path)).toBe("DATA data DIR: test images must have the training images' 2×3 pixels, got 2×2");
  });

  test("a truncated gzip file is a fault", async () => {
    await using dir = await temporaryDirectory();
    await writeIdx(dir.path, LABELS, TEST_LABELS, true);
    await truncate(join(dir.path, "train-images-idx3-ubyte.gz"), 40);
    expect(await faultOf(`idx:${dir.path}`, dir.path)).toBe(
      "DATA data DIR/train-images-idx3-ubyte.gz: must be a complete gzip file, got unexpected end of file — fetch it again",
    );
  });
});

describe("cifar10", () => {
  test("loads five batches, with the published class names or those of batches.meta.txt", async () => {
    await using dir = await temporaryDirectory();
    await writeCifar(dir.path, [3, 1, 4, 1, 5, 9, 2, 6, 0, 7, 8]);
    const { train, validation, test: testSet } = await loadData(`cifar10:${dir.path}`, { validationRatio: 0 });
    expect([train.count, validation.count, testSet.count]).toEqual([55, 0, 11]);
    expect(train.shape).toEqual([3, 32, 32]);
    expect(train.classes[9]).toBe("truck");
    expect([...testSet.labels]).toEqual([3, 1, 4, 1, 5, 9, 2, 6, 0, 7, 8]);
    expect([0, 1023, 1024, 2048, 3071, 3072].map((i) => testSet.images[i])).toEqual([3, 3, 4, 5, 5, 1]);
    const names = [..."abcdefghij"];
    await write(join(dir.path, "batches.meta.txt"), `${names.join("\n")}\n\n`);
    expect((await loadData(`cifar10:${dir.path}`)).train.classes).toEqual(names);
  });

  test("faults", async () => {
    await using dir = await temporaryDirectory();
    const spec = `cifar10:${dir.path}`;
    expect(await faultOf(`${spec}/none`, dir.path)).toBe(
      "DATA data DIR/none: must be a directory, got nothing there — give the directory that holds data_batch_1.bin",
    );
    await writeCifar(dir.path, [0, 1, 2]);
    expect(await faultOf(spec, dir.path)).toBe(
      'DATA data cifar10:DIR: each of 10 classes must have at least 1 training image, got none of "cat" and 6 more',
    );
    await rm(join(dir.path, "data_batch_4.bin"));
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data DIR/data_batch_4.bin: must be a readable file, got nothing there — fetch CIFAR-10's binary version",
    );
    await write(join(dir.path, "data_batch_4.bin"), cifarFile([0, 1]).subarray(0, 4000));
    expect(await faultOf(spec, dir.path)).toBe(
      "DATA data DIR/data_batch_4.bin: must hold whole records of 3073 bytes, got 4000 bytes — fetch it again",
    );
    await write(join(dir.path, "data_batch_4.bin"), cifarFile([0, 10]));
    expect(await faultOf(spec, dir.path)).toBe("DATA data DIR/data_batch_4.bin: labels must be in 0…9, got 10 for image 1");
    await write(join(dir.path, "batches.meta.txt"), "one\ntwo\n");
    expect(await faultOf(spec, dir.path)).toBe("DATA data DIR/batches.meta.txt: must name 10 classes, one a line, got 2");
  });
});

describe("splits", () => {
  test("are the same for the same seed; another seed leaves the test set alone", async () => {
    await using dir = await temporaryDirectory();
    await writeIdx(dir.path, LABELS, TEST_LABELS);
    const [first, again, other] = await Promise.all([1, 1, 2].map((seed) => loadData(`idx:${dir.path}`, { seed })));
    expect(again).toEqual(first);
    expect([...other!.validation.images]).not.toEqual([...first!.validation.images]);
    expect(other!.test).toEqual(first!.test);
  });

  test("a limit shortens the training set only, to a part of what it was", async () => {
    await using dir = await temporaryDirectory();
    await writeIdx(dir.path, LABELS, TEST_LABELS);
    const full = await loadData(`idx:${dir.path}`);
    const limited = await loadData(`idx:${dir.path}`, { limit: 8 });
    expect([0, 1, 2, 3].map((label) => limited.train.labels.filter((l) => l === label).length)).toEqual([2, 2, 2, 2]);
    expect(limited.validation).toEqual(full.validation);
    expect(limited.test).toEqual(full.test);
    const origins = new Set(full.train.images);
    expect(limited.train.images.every((origin) => origins.has(origin))).toBe(true);
    expect(await faultOf(`idx:${dir.path}`, dir.path, { limit: 3 })).toBe(
      "CONFIG data limit: must be an integer of at least one image for each of 4 classes, got 3",
    );
  });

  test("progress counts every image of every split once", async () => {
    await using dir = await temporaryDirectory();
    await writeClasses(dir.path, { a: 10, b: 10 });
    const events: [number, number][] = [];
    await loadData(`images:${dir.path}`, { onProgress: (done, total) => events.push([done, total]) });
    expect(events).toEqual(Array.from({ length: 20 }, (_, i) => [i + 1, 20]));
  });
});

describe("spec", () => {
  test.each([
    [
      "fashion-mnits",
      'data: must be one of fashion-mnist[:DIR], idx:DIR, cifar10:DIR, images:DIR, got "fashion-mnits" — did you mean fashion-mnist[:DIR]?',
    ],
    ["image:photos", 'got "image:photos" — did you mean images:DIR?'],
    ["./holiday/photos/", 'got "./holiday/photos/" — is it a directory of images? then write images:./holiday/photos/'],
    ["cifar10", 'data: must name a directory as in cifar10:DIR, got "cifar10"'],
    ["idx:", 'data: must name a directory as in idx:DIR, got "idx:"'],
  ])("%s is a configuration error", async (spec, message) => {
    expect(await faultOf(spec, "\0")).toContain(message);
    expect(await faultOf(spec, "\0")).toMatch(/^CONFIG /);
  });

  test("a size must be sensible and is for image folders only", async () => {
    expect(await faultOf("images:photos", "\0", { size: 0 })).toBe("CONFIG data size: must be an integer from 1 to 4096 pixels, got 0");
    expect(await faultOf("idx:digits", "\0", { size: 32 })).toBe(
      'CONFIG data size: must be absent unless the data is images:DIR, got 32 for "idx:digits"',
    );
  });
});

describe("fashion-mnist", () => {
  test("says how to install it where it is missing", async () => {
    await using dir = await temporaryDirectory();
    expect(await faultOf(`fashion-mnist:${dir.path}/none`, dir.path)).toBe(
      "DATA data DIR/none: must be a directory, got nothing there — install it with apt-get install dataset-fashion-mnist, or give the directory as fashion-mnist:DIR",
    );
  });

  const isInstalled = existsSync("/usr/share/datasets/fashion-mnist");
  test.skipIf(!isInstalled)("has 70,000 images of 10 classes (skipped without the package dataset-fashion-mnist)", async () => {
    const { train, validation, test: testSet, normalisation } = await loadData("fashion-mnist");
    expect([train.count, validation.count, testSet.count]).toEqual([54000, 6000, 10000]);
    expect(train.shape).toEqual([1, 28, 28]);
    expect(train.classes[9]).toBe("Ankle boot");
    for (let label = 0; label < 10; label++) {
      expect([train, validation, testSet].map(({ labels }) => labels.filter((l) => l === label).length)).toEqual([5400, 600, 1000]);
    }
    expect(testSet.labels[0]).toBe(9);
    // Published for the 60,000 training images: 0.2860 and 0.3530.
    expect(normalisation.mean[0]).toBeCloseTo(0.286, 2);
    expect(normalisation.std[0]).toBeCloseTo(0.353, 2);
  });
});
