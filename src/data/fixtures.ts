/** @file Small real data sets on disk, for tests only. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import sharp from "sharp";
import { createRng } from "../util/rng.ts";
import { createImageSet } from "./image-set.ts";
import type { ImageSet, ImageShape } from "./types.ts";

/** A directory that lasts until the end of the scope: `await using dir = await temporaryDirectory()`. */
export async function temporaryDirectory(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "data-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Writes a file and the directories above it. */
export async function write(path: string, bytes: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, bytes);
}

/** An IDX file of unsigned bytes. */
export function idxFile(dims: readonly number[], bytes: ArrayLike<number>): Uint8Array {
  const header = Buffer.alloc(4 + 4 * dims.length);
  header.writeUInt32BE(0x0800 + dims.length);
  for (const [i, dim] of dims.entries()) header.writeUInt32BE(dim, 4 + 4 * i);
  return Buffer.concat([header, Uint8Array.from(bytes)]);
}

/** Training and test images of 2×3 pixels: image i is filled with the byte i. The labels are the caller's. */
export async function writeIdx(directory: string, train: readonly number[], test: readonly number[], isZipped = false): Promise<void> {
  const parts = { train, t10k: test };
  for (const [stem, labels] of Object.entries(parts)) {
    const pixels = labels.flatMap((_, i) => Array<number>(6).fill(i));
    const files = {
      [`${stem}-images-idx3-ubyte`]: idxFile([labels.length, 2, 3], pixels),
      [`${stem}-labels-idx1-ubyte`]: idxFile([labels.length], labels),
    };
    for (const [name, file] of Object.entries(files)) {
      await write(join(directory, isZipped ? `${name}.gz` : name), isZipped ? gzipSync(file) : file);
    }
  }
}

/** CIFAR records: the red, green and blue planes of each image are filled with its label, label + 1 and label + 2. */
export function cifarFile(labels: readonly number[]): Uint8Array {
  return Buffer.concat(labels.map((label) => Buffer.concat([Buffer.of(label), ...[0, 1, 2].map((c) => Buffer.alloc(1024, label + c))])));
}

export async function writeCifar(directory: string, labels: readonly number[]): Promise<void> {
  for (const name of ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]) {
    await write(join(directory, `${name}.bin`), cifarFile(labels));
  }
}

export interface ImageFileOptions {
  readonly width?: number;
  readonly height?: number;
  /** Red, green, blue, and alpha for PNG and WebP, 0…255 (alpha 0…1). */
  readonly colour?: { readonly r: number; readonly g: number; readonly b: number; readonly alpha?: number };
  /** Stored with one channel. */
  readonly isGrey?: boolean;
}

/** Writes an image of one colour; the extension of `path` decides the format. */
export async function writeImage(
  path: string,
  { width = 4, height = 4, colour = { r: 200, g: 100, b: 50 }, isGrey = false }: ImageFileOptions = {},
): Promise<void> {
  const channels = colour.alpha === undefined ? 3 : 4;
  const coloured = sharp({ create: { width, height, channels, background: colour } });
  const image = isGrey ? coloured.toColourspace("b-w") : coloured;
  const format = path.endsWith(".png")
    ? image.png()
    : path.endsWith(".webp")
      ? image.webp({ lossless: true })
      : image.jpeg({ quality: 100 });
  await write(path, await format.toBuffer());
}

/** Writes `counts[name]` PNG images into each class folder of `directory`. */
export async function writeClasses(
  directory: string,
  counts: Readonly<Record<string, number>>,
  options: ImageFileOptions = {},
): Promise<void> {
  for (const [name, count] of Object.entries(counts)) {
    for (let i = 0; i < count; i++) await writeImage(join(directory, name, `${String(i).padStart(3, "0")}.png`), options);
  }
}

/** A set of random pixels with the given labels. */
export function randomSet(labels: readonly number[], shape: ImageShape = [3, 8, 8], seed = 1): ImageSet {
  const classes = Array.from({ length: Math.max(...labels, 1) + 1 }, (_, k) => `class ${k}`);
  const set = createImageSet(shape, classes, Int32Array.from(labels));
  const rng = createRng(seed);
  for (let i = 0; i < set.images.length; i++) set.images[i] = rng.int(256);
  return set;
}
