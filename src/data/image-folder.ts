/** @file Folders of images: a folder for each class, under train/ and test/ or directly in the directory. */
import { extname, join } from "node:path";
import { AppError } from "../errors.ts";
import { commonSize, DECODER, decodeAll } from "./decode.ts";
import { type DecodedCache, fillOnce } from "./decoded-cache.ts";
import { listDirectory, requireDirectory } from "./files.ts";
import { createImageSet } from "./image-set.ts";
import type { ImageSource, Sources } from "./source.ts";
import type { ImageShape } from "./types.ts";

const EXTENSIONS = [".jpg", ".jpeg", ".png", ".webp"];
/** Side that images of different or larger sizes are resized to, and the longest side that is kept, pixels. */
const DEFAULT_SIZE = 64;
const VALIDATION_NAMES = ["val", "valid", "validation"];

interface Listing {
  readonly classes: readonly string[];
  readonly paths: readonly string[];
  readonly labels: Int32Array;
}

/** Lists the class folders of `directory`; classes and files in sorted order. */
async function listClasses(directory: string): Promise<Listing> {
  const { folders, files } = await listDirectory(directory);
  if (folders.length < 2) {
    const found = folders.length === 1 ? `only "${folders[0]}"` : `none and ${files.length} files`;
    throw new AppError("DATA", `data ${directory}: must hold a folder for each of at least 2 classes, got ${found}`);
  }
  const paths: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of folders.entries()) {
    const folder = join(directory, name);
    const entries = await listDirectory(folder);
    const images = entries.files.filter((file) => EXTENSIONS.includes(extname(file).toLowerCase()));
    if (images.length === 0) {
      const found = `none among ${entries.files.length} files and ${entries.folders.length} folders`;
      throw new AppError(
        "DATA",
        `data ${folder}: a class folder must hold .jpg, .jpeg, .png or .webp images, got ${found} — add some or remove the folder`,
      );
    }
    for (const file of images) {
      paths.push(join(folder, file));
      labels.push(label);
    }
  }
  return { classes: folders, paths, labels: Int32Array.from(labels) };
}

/** The common height and width of images that are not large, else DEFAULT_SIZE. Kept, since every image must be opened to tell. */
async function defaultSize(paths: readonly string[], cache: DecodedCache): Promise<readonly [height: number, width: number]> {
  const size = new Uint32Array(2);
  await fillOnce(cache, { what: [DECODER, "common size", DEFAULT_SIZE], paths }, new Uint8Array(size.buffer), async () =>
    size.set((await commonSize(paths, DEFAULT_SIZE)) ?? [DEFAULT_SIZE, DEFAULT_SIZE]),
  );
  return [size[0]!, size[1]!];
}

/** @throws AppError DATA unless both parts have the same class folders */
function requireSameClasses(directory: string, expected: readonly string[], actual: readonly string[]): void {
  const missing = expected.filter((name) => !actual.includes(name)).map((name) => `no "${name}"`);
  const extra = actual.filter((name) => !expected.includes(name)).map((name) => `an extra "${name}"`);
  const differences = [...missing, ...extra];
  if (differences.length === 0) return;
  const shown = differences.slice(0, 3).join(", ") + (differences.length > 3 ? ` and ${differences.length - 3} more` : "");
  throw new AppError("DATA", `data ${directory}: must have the class folders of train/, got ${shown}`);
}

/**
 * Class folders under train/ and test/, or class folders directly in `directory`. A folder val/ (or valid/, validation/) beside test/
 * holds the validation images; without test/ it holds the test images. Images become RGB, [3, H, W].
 *
 * @param size side in pixels; null: the common size of all images if no side is over 64, else 64
 * @throws AppError DATA when folders are missing, empty or differ
 */
export async function openImageFolder(
  directory: string,
  { size, cache }: { readonly size: number | null; readonly cache: DecodedCache },
): Promise<Sources> {
  await requireDirectory(directory, "give a directory with a folder of images for each class");
  const { folders } = await listDirectory(directory);
  const parts: Record<keyof Sources, Listing | null> = { train: null, validation: null, test: null };
  if (folders.includes("train")) {
    const validationName = VALIDATION_NAMES.find((name) => folders.includes(name)) ?? null;
    const testName = folders.includes("test") ? "test" : validationName;
    const train = await listClasses(join(directory, "train"));
    parts.train = train;
    const open = async (name: string): Promise<Listing> => {
      const part = await listClasses(join(directory, name));
      requireSameClasses(join(directory, name), train.classes, part.classes);
      return part;
    };
    if (testName !== null) parts.test = await open(testName);
    if (validationName !== null && testName !== validationName) parts.validation = await open(validationName);
  } else {
    parts.train = await listClasses(directory);
  }
  const listings = Object.values(parts).filter((part) => part !== null);
  const [height, width] = size
    ? [size, size]
    : await defaultSize(
        listings.flatMap(({ paths }) => paths),
        cache,
      );
  const source = ({ classes, paths, labels }: Listing): ImageSource => {
    const shape: ImageShape = [3, height, width];
    return {
      shape,
      classes,
      labels,
      load: async (indices, onImage) => {
        const set = createImageSet(
          shape,
          classes,
          indices.map((i) => labels[i]!),
        );
        const chosen = Array.from(indices, (i) => paths[i]!);
        const isKept = await fillOnce(cache, { what: [DECODER, shape], paths: chosen }, set.images, () =>
          decodeAll(chosen, shape, set.images, onImage),
        );
        if (isKept) for (const _ of chosen) onImage();
        return set;
      },
    };
  };
  return {
    train: source(parts.train),
    validation: parts.validation && source(parts.validation),
    test: parts.test && source(parts.test),
  };
}
