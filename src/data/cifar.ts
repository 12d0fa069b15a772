/** @file CIFAR-10 in its binary form: records of one label byte and 3×32×32 pixels. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { allocateImages, checkSet } from "./image-set.ts";
import type { ImageSet } from "./types.ts";

const SHAPE = [3, 32, 32] as const;
const IMAGE_BYTES = 3 * 32 * 32;
const RECORD_BYTES = 1 + IMAGE_BYTES;
const CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/** Reads batch files into one set. @throws AppError DATA with the path of a missing or truncated file */
export function readCifar(dir: string, files: readonly string[]): ImageSet {
  const batches = files.map((file) => {
    const path = join(dir, file);
    if (!existsSync(path)) throw new AppError("DATA", `cifar10: ${path} must exist, got no such file`);
    const bytes = readFileSync(path);
    if (bytes.length === 0 || bytes.length % RECORD_BYTES !== 0) {
      throw new AppError("DATA", `cifar10: ${path} must be whole records of ${RECORD_BYTES} bytes, got ${bytes.length} bytes — the file is truncated or damaged`);
    }
    return bytes;
  });
  const count = batches.reduce((sum, bytes) => sum + bytes.length / RECORD_BYTES, 0);
  const images = allocateImages(count, SHAPE);
  const labels = new Int32Array(count);
  let n = 0;
  for (const bytes of batches) {
    for (let at = 0; at < bytes.length; at += RECORD_BYTES, n++) {
      labels[n] = bytes[at]!;
      images.set(bytes.subarray(at + 1, at + RECORD_BYTES), n * IMAGE_BYTES);
    }
  }
  const namesFile = join(dir, "batches.meta.txt");
  const names = existsSync(namesFile) ? readFileSync(namesFile, "utf8").split("\n").filter((line) => line.trim() !== "") : CLASSES;
  return checkSet({ shape: SHAPE, classes: names, images, labels, count }, `cifar10: ${dir}`);
}
