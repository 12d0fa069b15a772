/** @file Loading a data set from a spec such as "fashion-mnist" or "images:photos". */
import { AppError } from "../errors.ts";
import { defaultCacheDir } from "../util/cache-dir.ts";
import { nearest } from "../util/nearest.ts";
import { openCifar10 } from "./cifar.ts";
import type { DecodedCache } from "./decoded-cache.ts";
import { openIdx } from "./idx.ts";
import { openImageFolder } from "./image-folder.ts";
import type { Sources } from "./source.ts";
import { type SplitOptions, splitSources } from "./splits.ts";
import type { DataSplits } from "./types.ts";

export interface LoadOptions extends SplitOptions {
  /** Side that the images of image folders are resized to, pixels; see openImageFolder for the default. */
  readonly size?: number;
  /** Where decoded image folders are kept for the next time (default: this user's cache folder); null for nowhere. */
  readonly cacheDir?: string | null;
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
  readonly open: (directory: string, options: { readonly size: number | null; readonly cache: DecodedCache }) => Promise<Sources>;
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
  images: { usage: "images:DIR", directory: null, open: openImageFolder },
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
  const { size, cacheDir = defaultCacheDir() } = options;
  const { format, directory } = parseSpec(spec);
  requireSize(size);
  if (size !== undefined && format !== FORMATS.images) {
    throw new AppError("CONFIG", `data size: must be absent unless the data is ${FORMATS.images.usage}, got ${size} for "${spec}"`);
  }
  return splitSources(spec, await format.open(directory, { size: size ?? null, cache: { dir: cacheDir } }), options);
}
