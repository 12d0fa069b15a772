/** @file Folders of images, one sub-folder per class. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { AppError } from "../errors.ts";
import { allocateImages, checkSet } from "./image-set.ts";
import type { ImageSet } from "./types.ts";

const EXTENSIONS = /\.(jpe?g|png|webp)$/i;
const LARGEST_DEFAULT_SIZE = 64;
const CONCURRENCY = 8;

interface Listing {
  readonly classes: readonly string[];
  readonly files: readonly { readonly path: string; readonly label: number }[];
}

const folders = (dir: string) =>
  readdirSync(dir)
    .filter((name) => !name.startsWith(".") && statSync(join(dir, name)).isDirectory())
    .sort();

/** The class folders of `dir` and their images in a fixed order. @throws AppError DATA for no or empty class folders */
export function listImages(dir: string): Listing {
  if (!existsSync(dir)) throw new AppError("DATA", `images: ${dir} must exist, got no such folder`);
  const classes = folders(dir);
  if (classes.length === 0) throw new AppError("DATA", `images: ${dir} must have one folder per class, got none`);
  const files = classes.flatMap((name, label) => {
    const inside = readdirSync(join(dir, name)).filter((file) => EXTENSIONS.test(file)).sort();
    if (inside.length === 0) throw new AppError("DATA", `images: ${join(dir, name)} must have JPEG, PNG or WebP images, got none`);
    return inside.map((file) => ({ path: join(dir, name, file), label }));
  });
  return { classes, files };
}

/** True when the folder is split already, into train/ and test/. */
export function isSplit(dir: string): boolean {
  return existsSync(join(dir, "train")) && existsSync(join(dir, "test"));
}

/** Side length of square images: the images' own when the first ones agree and are small, else 64. */
export async function defaultSize({ files }: Listing): Promise<number> {
  const sizes = await Promise.all(files.slice(0, 16).map(async ({ path }) => readSize(path)));
  const [first] = sizes;
  const agree = sizes.every(({ width, height }) => width === first?.width && height === first.width);
  return agree && first && first.width <= LARGEST_DEFAULT_SIZE ? first.width : LARGEST_DEFAULT_SIZE;
}

async function readSize(path: string): Promise<{ width: number; height: number }> {
  try {
    const { width, height } = await sharp(path).metadata();
    return { width, height };
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): AppError {
  return new AppError("DATA", `images: ${path} must be a readable image, got ${(error as Error).message.split("\n")[0]}`, { cause: error });
}

/**
 * Decodes every image to RGB of size×size (cropped to the middle where it is not square).
 * @throws AppError DATA with the path of the first unreadable image
 */
export async function readImages(dir: string, listing: Listing, size: number, onProgress?: (done: number, total: number) => void): Promise<ImageSet> {
  const { files, classes } = listing;
  const shape = [3, size, size] as const;
  const images = allocateImages(files.length, shape);
  const cells = size * size;
  let next = 0;
  let done = 0;
  const work = async () => {
    for (let n = next++; n < files.length; n = next++) {
      const { path } = files[n]!;
      let pixels: Buffer;
      try {
        pixels = await sharp(path, { failOn: "truncated" }).resize(size, size, { fit: "cover" }).removeAlpha().toColourspace("srgb").raw().toBuffer();
      } catch (error) {
        throw unreadable(path, error);
      }
      const channels = pixels.length / cells;
      for (let c = 0; c < 3; c++) {
        const at = (n * 3 + c) * cells;
        for (let i = 0; i < cells; i++) images[at + i] = pixels[i * channels + Math.min(c, channels - 1)]!;
      }
      onProgress?.(++done, files.length);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return checkSet({ shape, classes, images, labels: Int32Array.from(files, ({ label }) => label), count: files.length }, `images: ${dir}`);
}
