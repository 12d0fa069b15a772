/** @file Loading a data set from a spec such as "fashion-mnist" or "images:photos". */
import { AppError } from "../errors.ts";
import { nearest } from "../util/nearest.ts";
import { createRng } from "../util/rng.ts";
import { openCifar10 } from "./cifar.ts";
import { openIdx } from "./idx.ts";
import { openImageFolder } from "./image-folder.ts";
import { channelStatistics } from "./normalisation.ts";
import { narrow, type Sources } from "./source.ts";
import { stratifiedSample, stratifiedSplit } from "./stratify.ts";
import type { DataSplits } from "./types.ts";

export interface LoadOptions {
  /** Decides every split (default 0). */
  readonly seed?: number;
  /** Side that the images of image folders are resized to, pixels; see openImageFolder for the default. */
  readonly size?: number;
  /** Share of the training images that becomes the validation set, [0, 1) (default 0.1). */
  readonly validationRatio?: number;
  /** Share of the images that becomes the test set where the data has none, (0, 1) (default 0.2). */
  readonly testRatio?: number;
  /** At most this many training images, every class in proportion, for quick runs (default: all). */
  readonly limit?: number;
  /** Images loaded so far, over all splits. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Where Debian's package dataset-fashion-mnist puts its files. */
const FASHION_MNIST_DIRECTORY = "/usr/share/datasets/fashion-mnist";
const FASHION_MNIST_CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

type Format = "fashion-mnist" | "idx" | "cifar10" | "images";

interface FormatEntry {
  /** How its specs are written. */
  readonly usage: string;
  /** Where the data is when the spec gives no directory; null: it must give one. */
  readonly directory: string | null;
  readonly open: (directory: string, size: number | null) => Promise<Sources>;
}

const FORMATS: Readonly<Record<Format, FormatEntry>> = {
  "fashion-mnist": {
    usage: "fashion-mnist[:DIR]",
    directory: FASHION_MNIST_DIRECTORY,
    open: (directory) =>
      openIdx(directory, {
        classes: FASHION_MNIST_CLASSES,
        advice: "install it with apt-get install dataset-fashion-mnist, or give the directory as fashion-mnist:DIR",
      }),
  },
  idx: {
    usage: "idx:DIR",
    directory: null,
    open: (directory) => openIdx(directory, { classes: null, advice: "give the directory that holds train-images-idx3-ubyte" }),
  },
  cifar10: { usage: "cifar10:DIR", directory: null, open: (directory) => openCifar10(directory) },
  images: { usage: "images:DIR", directory: null, open: (directory, size) => openImageFolder(directory, { size }) },
};

/** @throws AppError CONFIG when the spec is not one of ours */
function parseSpec(spec: string): { format: FormatEntry; directory: string } {
  const colon = spec.indexOf(":");
  const name = colon < 0 ? spec : spec.slice(0, colon);
  const usages = Object.values(FORMATS).map(({ usage }) => usage);
  const format = Object.hasOwn(FORMATS, name) ? FORMATS[name as Format] : null;
  if (format === null) {
    const near = nearest(name, Object.keys(FORMATS)) as Format | null;
    const advice = near ? `did you mean ${FORMATS[near].usage}?` : `is it a directory of images? then write images:${spec}`;
    throw new AppError("CONFIG", `data: must be one of ${usages.join(", ")}, got "${spec}" — ${advice}`);
  }
  const directory = colon < 0 ? format.directory : spec.slice(colon + 1);
  if (!directory) throw new AppError("CONFIG", `data: must name a directory as in ${format.usage}, got "${spec}"`);
  return { format, directory };
}

function requireSize(size: number | undefined): void {
  if (size === undefined || (Number.isInteger(size) && size >= 1 && size <= 4096)) return;
  throw new AppError("CONFIG", `data size: must be an integer from 1 to 4096 pixels, got ${size}`);
}

/** @throws AppError DATA when there is nothing to tell apart */
function requireTwoClasses(spec: string, labels: Int32Array, classes: readonly string[]): void {
  const present = [...new Set(labels)];
  if (present.length >= 2) return;
  const found = present.map((label) => `"${classes[label]}"`).join("");
  throw new AppError("DATA", `data ${spec}: training images must be of at least 2 classes, got only ${found}`);
}

/** @throws AppError DATA naming a class that no image shows: a label that is wrong makes classes that do not exist */
function requireEveryClass(spec: string, labels: Int32Array, classes: readonly string[]): void {
  const present = new Set(labels);
  const missing = classes.filter((_, label) => !present.has(label));
  if (missing.length === 0) return;
  throw new AppError(
    "DATA",
    `data ${spec}: each of ${classes.length} classes must have at least 1 training image, got none of "${missing[0]}"${missing.length > 1 ? ` and ${missing.length - 1} more` : ""}`,
  );
}

function requireImages(spec: string, split: string, count: number, advice: string): void {
  if (count > 0) return;
  throw new AppError("DATA", `data ${spec}: the ${split} split must hold at least 1 image, got 0 — ${advice}`);
}

/**
 * Loads a data set into memory and splits it. The validation set is cut from the training images and the test set is left as it is;
 * data without a test set gives up part of its images for one. Every class keeps its proportion in every part, and the same seed
 * gives the same splits.
 *
 * @param spec "fashion-mnist[:DIR]", "idx:DIR", "cifar10:DIR" or "images:DIR"
 * @returns uint8 images, with the normalisation computed on the training split
 * @throws AppError CONFIG for a wrong spec or option; DATA, naming the path, when files are missing, damaged or do not fit together
 */
export async function loadData(spec: string, options: LoadOptions = {}): Promise<DataSplits> {
  const { seed = 0, size, validationRatio = 0.1, testRatio = 0.2, limit, onProgress } = options;
  const { format, directory } = parseSpec(spec);
  requireSize(size);
  if (size !== undefined && format !== FORMATS.images) {
    throw new AppError("CONFIG", `data size: must be absent unless the data is ${FORMATS.images.usage}, got ${size} for "${spec}"`);
  }
  const rng = createRng(seed).fork("data");
  const sources = await format.open(directory, size ?? null);
  let { train, validation, test } = sources;
  requireTwoClasses(spec, train.labels, train.classes);
  requireEveryClass(spec, train.labels, train.classes);
  if (test === null) {
    const [rest, part] = stratifiedSplit(train.labels, testRatio, rng.fork("test"));
    [train, test] = [narrow(train, rest), narrow(train, part)];
  }
  if (validation === null) {
    const [rest, part] = stratifiedSplit(train.labels, validationRatio, rng.fork("validation"));
    [train, validation] = [narrow(train, rest), narrow(train, part)];
    if (validationRatio > 0) requireImages(spec, "validation", part.length, "add images or raise validationRatio");
  }
  requireImages(spec, "test", test.labels.length, "add images or raise testRatio");
  if (limit !== undefined) train = narrow(train, stratifiedSample(train.labels, limit, rng.fork("limit")));

  const total = train.labels.length + validation.labels.length + test.labels.length;
  let done = 0;
  const onImage = () => onProgress?.(++done, total);
  const all = (source: typeof train) => source.load(Int32Array.from(source.labels.keys()), onImage);
  const trainSet = await all(train);
  const validationSet = await all(validation);
  const testSet = await all(test);
  return {
    name: spec,
    train: trainSet,
    validation: validationSet,
    test: testSet,
    normalisation: channelStatistics(trainSet),
    splitSeed: seed,
  };
}
