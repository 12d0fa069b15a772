/** @file The IDX format of MNIST and its relatives. Source: http://yann.lecun.com/exdb/mnist/, "File formats". */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { readBytes, requireDirectory, unzip } from "./files.ts";
import { type ImageSource, memorySource, type Sources } from "./source.ts";

/** Two zero bytes, type 0x08 (unsigned byte), number of dimensions. */
const IMAGES_MAGIC = 0x00000803;
const LABELS_MAGIC = 0x00000801;
const ADVICE = "fetch it again";

interface IdxArray {
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

const hex = (magic: number): string => `0x${magic.toString(16).padStart(8, "0")}`;

/**
 * Parses an IDX file of unsigned bytes.
 *
 * @param path for messages
 * @throws AppError DATA on a wrong magic number or length
 */
export function parseIdx(path: string, file: Uint8Array, magic: typeof IMAGES_MAGIC | typeof LABELS_MAGIC): IdxArray {
  const rank = magic & 0xff;
  const header = 4 + 4 * rank;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length >= 4 && view.getUint32(0) !== magic) {
    const what = magic === IMAGES_MAGIC ? "images" : "labels";
    throw new AppError(
      "DATA",
      `data ${path}: IDX ${what} must start with ${hex(magic)}, got ${hex(view.getUint32(0))} — is it the right file?`,
    );
  }
  if (file.length < header)
    throw new AppError("DATA", `data ${path}: an IDX header must have ${header} bytes, got ${file.length} — ${ADVICE}`);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const expected = header + dims.reduce((product, dim) => product * dim, 1);
  if (file.length !== expected) {
    throw new AppError("DATA", `data ${path}: must have ${expected} bytes for ${dims.join("×")}, got ${file.length} — ${ADVICE}`);
  }
  if (dims.includes(0)) throw new AppError("DATA", `data ${path}: must hold at least one pixel or label, got ${dims.join("×")}`);
  return { dims, bytes: file.subarray(header) };
}

/** Reads `stem` under the names in use: with "-idx3" or ".idx3", plain or gzip'd. */
async function readIdx(
  directory: string,
  stem: string,
  magic: typeof IMAGES_MAGIC | typeof LABELS_MAGIC,
): Promise<IdxArray & { path: string }> {
  const rank = magic & 0xff;
  const names = [`${stem}-idx${rank}-ubyte`, `${stem}.idx${rank}-ubyte`].flatMap((name) => [name, `${name}.gz`]);
  for (const name of names) {
    const path = join(directory, name);
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (!isThere) continue;
    const bytes = await readBytes(path, ADVICE);
    return { ...parseIdx(path, name.endsWith(".gz") ? await unzip(path, bytes) : bytes, magic), path };
  }
  throw new AppError("DATA", `data ${directory}: must hold ${names[0]} (or that name with .gz), got no such file`);
}

async function readPart(directory: string, stem: string, classes: readonly string[] | null): Promise<ImageSource> {
  const images = await readIdx(directory, `${stem}-images`, IMAGES_MAGIC);
  const labels = await readIdx(directory, `${stem}-labels`, LABELS_MAGIC);
  const [count, height, width] = images.dims as [number, number, number];
  if (labels.dims[0] !== count) {
    throw new AppError("DATA", `data ${labels.path}: must have one label for each of ${count} images, got ${labels.dims[0]} labels`);
  }
  const names = classes ?? Array.from({ length: labels.bytes.reduce((a, b) => Math.max(a, b), 0) + 1 }, (_, k) => String(k));
  const wrong = labels.bytes.findIndex((label) => label >= names.length);
  if (wrong >= 0) {
    throw new AppError(
      "DATA",
      `data ${labels.path}: labels must be in 0…${names.length - 1}, got ${labels.bytes[wrong]} for image ${wrong}`,
    );
  }
  return memorySource([1, height, width], names, Int32Array.from(labels.bytes), images.bytes);
}

export interface IdxOptions {
  /** Class names; null: the training labels' numbers, 0 to the largest. */
  readonly classes: readonly string[] | null;
  /** For the message when the directory is missing. */
  readonly advice: string;
}

/**
 * A directory with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each
 * plain or with .gz. Images become [1, H, W].
 *
 * @throws AppError DATA when a file is missing, damaged or does not fit the others
 */
export async function openIdx(directory: string, { classes, advice }: IdxOptions): Promise<Sources> {
  await requireDirectory(directory, advice);
  const train = await readPart(directory, "train", classes);
  const test = await readPart(directory, "t10k", train.classes);
  if (train.shape.join() !== test.shape.join()) {
    const [trainSize, testSize] = [train, test].map(({ shape: [, height, width] }) => `${height}×${width}`);
    throw new AppError("DATA", `data ${directory}: test images must have the training images' ${trainSize} pixels, got ${testSize}`);
  }
  return { train, validation: null, test };
}
