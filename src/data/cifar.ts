/** @file CIFAR-10's binary version. Source: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version". */
import { access, readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { readBytes, requireDirectory } from "./files.ts";
import { type ImageSource, memorySource, type Sources } from "./source.ts";
import type { ImageShape } from "./types.ts";

const SHAPE: ImageShape = [3, 32, 32];
const IMAGE_BYTES = 3 * 32 * 32;
/** A label and the red, green and blue planes. */
const RECORD_BYTES = 1 + IMAGE_BYTES;
const CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const TRAIN_FILES = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`);
const TEST_FILES = ["test_batch.bin"];

/** Class names of batches.meta.txt, one a line; the published ones if there is no such file. */
async function readClasses(directory: string): Promise<readonly string[]> {
  const path = join(directory, "batches.meta.txt");
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (!isThere) return CLASSES;
  const names = (await readFile(path, "utf8"))
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (names.length !== CLASSES.length) {
    throw new AppError("DATA", `data ${path}: must name ${CLASSES.length} classes, one a line, got ${names.length}`);
  }
  return names;
}

async function readPart(directory: string, names: readonly string[], classes: readonly string[]): Promise<ImageSource> {
  const files: Uint8Array[] = [];
  for (const name of names) {
    const path = join(directory, name);
    const file = await readBytes(path, "fetch CIFAR-10's binary version");
    if (file.length === 0 || file.length % RECORD_BYTES !== 0) {
      throw new AppError(
        "DATA",
        `data ${path}: must hold whole records of ${RECORD_BYTES} bytes, got ${file.length} bytes — fetch it again`,
      );
    }
    for (let at = 0; at < file.length; at += RECORD_BYTES) {
      if (file[at]! < classes.length) continue;
      throw new AppError("DATA", `data ${path}: labels must be in 0…${classes.length - 1}, got ${file[at]} for image ${at / RECORD_BYTES}`);
    }
    files.push(file);
  }
  const count = files.reduce((sum, file) => sum + file.length / RECORD_BYTES, 0);
  const labels = new Int32Array(count);
  const images = new Uint8Array(count * IMAGE_BYTES);
  let n = 0;
  for (const file of files) {
    for (let at = 0; at < file.length; at += RECORD_BYTES, n++) {
      labels[n] = file[at]!;
      images.set(file.subarray(at + 1, at + RECORD_BYTES), n * IMAGE_BYTES);
    }
  }
  return memorySource(SHAPE, classes, labels, images);
}

/**
 * A directory with data_batch_1.bin to data_batch_5.bin and test_batch.bin; class names from batches.meta.txt if there.
 *
 * @throws AppError DATA when a file is missing or damaged
 */
export async function openCifar10(directory: string): Promise<Sources> {
  await requireDirectory(directory, "give the directory that holds data_batch_1.bin");
  const classes = await readClasses(directory);
  const train = await readPart(directory, TRAIN_FILES, classes);
  const test = await readPart(directory, TEST_FILES, classes);
  return { train, validation: null, test };
}
