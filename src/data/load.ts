/** @file Data sets by name: what `--data` accepts. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { nearest } from "../util/nearest.ts";
import { createRng } from "../util/rng.ts";
import { readCifar } from "./cifar.ts";
import { readIdx } from "./idx.ts";
import { defaultSize, isSplit, listImages, readImages } from "./image-folder.ts";
import { limitSet, normalisationOf, splitSet } from "./image-set.ts";
import type { DataSplits, ImageSet } from "./types.ts";

export interface LoadOptions {
  /** Decides which images are held out (default 0). */
  readonly seed?: number;
  /** Side of the square images that folders are resized to, pixels. */
  readonly size?: number;
  /** Share of the training images held out for validation (default 0.1). */
  readonly validationRatio?: number;
  /** Share of an unsplit folder held out for the test (default 0.2). */
  readonly testRatio?: number;
  /** At most this many training and validation images together, for quick runs. */
  readonly limit?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

interface Halves {
  readonly train: ImageSet;
  readonly test: ImageSet;
}
type Loader = (dir: string, options: LoadOptions) => Promise<Halves>;

const FASHION_MNIST_DIR = "/usr/share/datasets/fashion-mnist";
const FASHION_CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

async function loadFashionMnist(): Promise<Halves> {
  if (!existsSync(FASHION_MNIST_DIR)) {
    throw new AppError(
      "DATA",
      `fashion-mnist: ${FASHION_MNIST_DIR} must exist, got no such folder — install it with \`sudo apt-get install dataset-fashion-mnist\`, or give a folder of its four IDX files as idx:DIR`,
    );
  }
  return { train: readIdx(FASHION_MNIST_DIR, "train", FASHION_CLASSES), test: readIdx(FASHION_MNIST_DIR, "t10k", FASHION_CLASSES) };
}

async function loadFolder(dir: string, { seed = 0, size, testRatio = 0.2, onProgress }: LoadOptions): Promise<Halves> {
  if (!isSplit(dir)) {
    const listing = listImages(dir);
    const all = await readImages(dir, listing, size ?? (await defaultSize(listing)), onProgress);
    const [train, test] = splitSet(all, testRatio, createRng(seed).fork("test split"));
    return { train, test };
  }
  const trainList = listImages(join(dir, "train"));
  const testList = listImages(join(dir, "test"));
  if (trainList.classes.join("\n") !== testList.classes.join("\n")) {
    throw new AppError("DATA", `images: ${dir} must have the same classes in train/ and test/, got ${trainList.classes.join(", ")} and ${testList.classes.join(", ")}`);
  }
  const side = size ?? (await defaultSize(trainList));
  const total = trainList.files.length + testList.files.length;
  const train = await readImages(join(dir, "train"), trainList, side, (done) => onProgress?.(done, total));
  const test = await readImages(join(dir, "test"), testList, side, (done) => onProgress?.(trainList.files.length + done, total));
  return { train, test };
}

const TRAIN_BATCHES = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`);
const loaders: Record<string, { readonly needsDir: boolean; readonly load: Loader }> = {
  "fashion-mnist": { needsDir: false, load: loadFashionMnist },
  idx: { needsDir: true, load: async (dir) => ({ train: readIdx(dir, "train"), test: readIdx(dir, "t10k") }) },
  cifar10: { needsDir: true, load: async (dir) => ({ train: readCifar(dir, TRAIN_BATCHES), test: readCifar(dir, ["test_batch.bin"]) }) },
  images: { needsDir: true, load: loadFolder },
};
export const dataForms = "fashion-mnist, idx:DIR, cifar10:DIR or images:DIR";

/**
 * Loads and splits a data set: stratified, the same for the same seed. Test is the data set's own where it has one.
 * @throws AppError CONFIG for an unknown name, DATA (with the path) for missing or damaged files
 */
export async function loadData(spec: string, options: LoadOptions = {}): Promise<DataSplits> {
  const colon = spec.indexOf(":");
  const kind = colon < 0 ? spec : spec.slice(0, colon);
  const dir = colon < 0 ? "" : spec.slice(colon + 1);
  const loader = Object.hasOwn(loaders, kind) ? loaders[kind] : undefined;
  if (!loader || loader.needsDir !== (dir !== "")) {
    const hint = loader ? null : nearest(kind, Object.keys(loaders));
    throw new AppError("CONFIG", `data: expected ${dataForms}, got "${spec}"${hint ? ` — did you mean ${hint}?` : ""}`);
  }
  const { seed = 0, validationRatio = 0.1, limit } = options;
  const rng = createRng(seed);
  const { train: all, test } = await loader.load(dir, options);
  const kept = limit === undefined ? all : limitSet(all, limit, rng.fork("limit"));
  const [train, validation] = splitSet(kept, validationRatio, rng.fork("validation split"));
  return { name: spec, train, validation, test, normalisation: normalisationOf(train) };
}
