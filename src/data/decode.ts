/** @file Decoding JPEG, PNG and WebP files to the planes of an image set. */
import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { AppError } from "../errors.ts";
import type { ImageShape } from "./types.ts";

/** What decodes: other versions may give other pixels. */
export const DECODER = ["decoded by", 1, sharp.versions.sharp, sharp.versions.vips] as const;

/** Images in flight at once; decoding itself runs in libuv's threads. */
const CONCURRENCY = 8;

/**
 * Runs `task(0)` … `task(count - 1)`, at most CONCURRENCY at once. After a failure nothing new starts.
 *
 * @throws the failure of the lowest index, whatever order they happened in
 */
async function forEachConcurrently(count: number, task: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  let failure: { index: number; error: unknown } | null = null;
  const run = async () => {
    while (next < count && failure === null) {
      const index = next++;
      await task(index).catch((error: unknown) => {
        if (failure === null || index < failure.index) failure = { index, error };
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, count) }, run));
  if (failure !== null) throw (failure as { error: unknown }).error;
}

function unreadable(path: string, cause: unknown): AppError {
  const reason = (cause instanceof Error ? cause.message : String(cause)).split("\n")[0]!.trim();
  const known = reason === "" || reason === "Unknown error" ? "damaged or truncated" : reason;
  return new AppError("DATA", `data ${path}: must be a readable image, got "${known}" — replace or remove the file`, { cause });
}

/** Height and width an image is shown with, that is after EXIF orientation. */
async function readSize(path: string): Promise<readonly [height: number, width: number]> {
  try {
    const { autoOrient } = await sharp(await readFile(path)).metadata();
    return [autoOrient.height, autoOrient.width];
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/**
 * The height and width that all images have in common, or null when they differ or a side is longer than `longest` pixels.
 * Reads headers only, and stops at the first image that decides.
 */
export async function commonSize(paths: readonly string[], longest: number): Promise<readonly [height: number, width: number] | null> {
  const [height, width] = await readSize(paths[0]!);
  let isCommon = height <= longest && width <= longest;
  await forEachConcurrently(paths.length, async (i) => {
    if (!isCommon) return;
    const size = await readSize(paths[i]!);
    if (size[0] !== height || size[1] !== width) isCommon = false;
  });
  return isCommon ? [height, width] : null;
}

/** Interleaved pixels, 0…255. Reading the file ourselves takes a third less time than leaving it to libvips. */
async function decode(path: string, height: number, width: number) {
  try {
    return await sharp(await readFile(path), { failOn: "error" })
      .autoOrient()
      .resize(width, height, { fit: "cover" })
      .flatten()
      .toColourspace("srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/**
 * Decodes one image to RGB, 0…255: turned upright by EXIF, transparency over black, scaled so that it covers the target and cropped
 * around the centre.
 *
 * @param target [C, H, W], written
 * @throws AppError DATA when the file is damaged, truncated or no image
 */
async function decodeInto(path: string, [channels, height, width]: ImageShape, target: Uint8Array): Promise<void> {
  const { data, info } = await decode(path, height, width);
  const plane = height * width;
  for (let c = 0; c < channels; c++) {
    // A grey image arrives as one channel, which then serves for all three.
    for (let i = 0, from = Math.min(c, info.channels - 1); i < plane; i++, from += info.channels) target[c * plane + i] = data[from]!;
  }
}

/**
 * Decodes all files into `images`, [N, C, H, W].
 *
 * @param onImage called once for every decoded image
 * @throws AppError DATA for the first damaged file in the order of `paths`
 */
export async function decodeAll(paths: readonly string[], shape: ImageShape, images: Uint8Array, onImage: () => void): Promise<void> {
  const size = shape[0] * shape[1] * shape[2];
  await forEachConcurrently(paths.length, async (i) => {
    await decodeInto(paths[i]!, shape, images.subarray(i * size, (i + 1) * size));
    onImage();
  });
}
