/** @file Data sets in MNIST's IDX format, plain or gzipped. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { AppError } from "../errors.ts";
import { allocateImages, checkSet } from "./image-set.ts";
import type { ImageSet } from "./types.ts";

const IMAGES_MAGIC = 0x00000803;
const LABELS_MAGIC = 0x00000801;

function readFile(dir: string, name: string): { path: string; bytes: Buffer } {
  const path = [join(dir, name), join(dir, `${name}.gz`)].find((candidate) => existsSync(candidate));
  if (path === undefined) throw new AppError("DATA", `idx: ${join(dir, name)} (or .gz) must exist, got no such file`);
  try {
    const raw = readFileSync(path);
    return { path, bytes: path.endsWith(".gz") ? gunzipSync(raw) : raw };
  } catch (error) {
    throw new AppError("DATA", `idx: ${path} must be readable, got ${(error as Error).message}`, { cause: error });
  }
}

function readHeader({ path, bytes }: { path: string; bytes: Buffer }, magic: number, axes: number): number[] {
  const headerBytes = 4 + 4 * axes;
  if (bytes.length < headerBytes) throw new AppError("DATA", `idx: ${path} must have a header of ${headerBytes} bytes, got ${bytes.length} bytes`);
  const found = bytes.readUInt32BE(0);
  if (found !== magic) throw new AppError("DATA", `idx: ${path} must begin with the magic number ${magic}, got ${found}`);
  const dims = Array.from({ length: axes }, (_, i) => bytes.readUInt32BE(4 + 4 * i));
  const expected = headerBytes + dims.reduce((product, n) => product * n, 1);
  if (bytes.length !== expected) throw new AppError("DATA", `idx: ${path} must have ${expected} bytes for ${dims.join("×")}, got ${bytes.length} — the file is truncated or damaged`);
  return dims;
}

/** One split of an IDX folder: `<prefix>-images-idx3-ubyte` and `<prefix>-labels-idx1-ubyte`. @throws AppError DATA with the path */
export function readIdx(dir: string, prefix: "train" | "t10k", classes?: readonly string[]): ImageSet {
  const imageFile = readFile(dir, `${prefix}-images-idx3-ubyte`);
  const labelFile = readFile(dir, `${prefix}-labels-idx1-ubyte`);
  const [count, height, width] = readHeader(imageFile, IMAGES_MAGIC, 3) as [number, number, number];
  const [labelCount] = readHeader(labelFile, LABELS_MAGIC, 1) as [number];
  if (labelCount !== count) throw new AppError("DATA", `idx: ${labelFile.path} must have one label for each of ${count} images, got ${labelCount}`);
  const shape = [1, height, width] as const;
  const images = allocateImages(count, shape);
  images.set(imageFile.bytes.subarray(16));
  const labels = Int32Array.from(labelFile.bytes.subarray(8));
  const names = classes ?? Array.from({ length: labels.reduce((max, label) => Math.max(max, label), 0) + 1 }, (_, i) => String(i));
  return checkSet({ shape, classes: names, images, labels, count }, `idx: ${dir}`);
}
