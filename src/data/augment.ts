/** @file One image from bytes to normalised, randomly changed floats. */
import { AppError } from "../errors.ts";
import type { Rng } from "../util/rng.ts";
import type { Augmentation, ImageShape, Normalisation } from "./types.ts";

/** What augmentInto needs to know about all images, worked out once. */
export interface AugmentationPlan {
  readonly shape: ImageShape;
  readonly normalisation: Normalisation;
  readonly augmentation: Augmentation;
  /** [C, 256]: the normalised value of each byte. */
  readonly table: Float32Array;
  /** [C, H, W], overwritten for each image. */
  readonly scratch: Float32Array;
}

/**
 * Prepares the augmentation of images of one shape. An empty augmentation only normalises.
 *
 * @throws AppError CONFIG when a value is out of range for images of this shape
 */
export function planAugmentation(shape: ImageShape, normalisation: Normalisation, augmentation: Augmentation): AugmentationPlan {
  const [channels, height, width] = shape;
  const { crop = 0, cropFill = "zero", brightness = 0, contrast = 0, saturation = 0, cutout = 0 } = augmentation;
  for (const [name, value] of Object.entries({ crop, cutout })) {
    if (!Number.isInteger(value) || value < 0)
      throw new AppError("CONFIG", `augmentation ${name}: must be an integer of at least 0 pixels, got ${value}`);
  }
  for (const [name, value] of Object.entries({ brightness, contrast, saturation })) {
    if (!(value >= 0 && value < Infinity))
      throw new AppError("CONFIG", `augmentation ${name}: must be a number of at least 0, got ${value}`);
  }
  const largest = cropFill === "reflect" ? Math.min(height, width) - 1 : Math.min(height, width);
  if (crop > largest) {
    throw new AppError(
      "CONFIG",
      `augmentation crop: must be at most ${largest} for images of ${height}×${width} with fill "${cropFill}", got ${crop}`,
    );
  }
  if (normalisation.mean.length !== channels || normalisation.std.length !== channels) {
    throw new AppError(
      "SHAPE",
      `normalisation: must have ${channels} means and stds, got ${normalisation.mean.length} and ${normalisation.std.length}`,
    );
  }
  const table = new Float32Array(channels * 256);
  for (let i = 0; i < table.length; i++) table[i] = normalise(normalisation, i >> 8, (i & 255) / 255);
  return { shape, normalisation, augmentation, table, scratch: new Float32Array(channels * height * width) };
}

function normalise({ mean, std }: Normalisation, channel: number, value: number): number {
  return (value - mean[channel]!) / std[channel]!;
}

const clamp = (value: number): number => Math.min(1, Math.max(0, value));

/** The random choices for one image. */
interface Draws {
  readonly dy: number;
  readonly dx: number;
  readonly isFlipped: boolean;
  readonly brightness: number;
  readonly contrast: number;
  readonly saturation: number;
  readonly cutY: number;
  readonly cutX: number;
}

/** Draws everything whether it is used or not, so that turning one change on does not alter the others. */
function drawAll([, height, width]: ImageShape, augmentation: Augmentation, rng: Rng): Draws {
  const { crop = 0, flip = false, brightness = 0, contrast = 0, saturation = 0 } = augmentation;
  const dy = rng.int(2 * crop + 1) - crop;
  const dx = rng.int(2 * crop + 1) - crop;
  const isFlipped = rng.uniform() < 0.5 && flip;
  const factor = (range: number) => {
    const low = Math.max(0, 1 - range);
    return low + rng.uniform() * (1 + range - low);
  };
  return {
    dy,
    dx,
    isFlipped,
    brightness: factor(brightness),
    contrast: factor(contrast),
    saturation: factor(saturation),
    cutY: rng.int(height),
    cutX: rng.int(width),
  };
}

/** Luma of pixel i of [C, H, W]; a set that is not RGB uses the mean over its channels. Source: ITU-R BT.601. */
function grey(image: Float32Array, channels: number, plane: number, i: number): number {
  if (channels === 3) return 0.299 * image[i]! + 0.587 * image[plane + i]! + 0.114 * image[2 * plane + i]!;
  let sum = 0;
  for (let c = 0; c < channels; c++) sum += image[c * plane + i]!;
  return sum / channels;
}

/**
 * Brightness, contrast and saturation as torchvision defines them (adjust_brightness, …), each clamped to 0…1, then normalised.
 * Deviation: always in this order.
 */
function jitterInto({ shape, normalisation, scratch }: AugmentationPlan, source: Uint8Array, draws: Draws): void {
  const [channels, height, width] = shape;
  const plane = height * width;
  for (let i = 0; i < scratch.length; i++) scratch[i] = clamp((source[i]! / 255) * draws.brightness);
  let sum = 0;
  for (let i = 0; i < plane; i++) sum += grey(scratch, channels, plane, i);
  const average = sum / plane;
  for (let i = 0; i < scratch.length; i++) scratch[i] = clamp(average + (scratch[i]! - average) * draws.contrast);
  for (let i = 0; i < plane; i++) {
    const level = grey(scratch, channels, plane, i);
    for (let c = 0; c < channels; c++) {
      const value = scratch[c * plane + i]!;
      scratch[c * plane + i] = normalise(normalisation, c, channels === 3 ? clamp(level + (value - level) * draws.saturation) : value);
    }
  }
}

/** Normalises without jitter. */
function lookUpInto({ shape: [channels, height, width], table, scratch }: AugmentationPlan, source: Uint8Array): void {
  const plane = height * width;
  for (let c = 0, i = 0; c < channels; c++) {
    const row = c * 256;
    for (const end = (c + 1) * plane; i < end; i++) scratch[i] = table[row + source[i]!]!;
  }
}

/** Where position i of a line of n pixels lies when both ends are mirrors; the edge pixels are not repeated. */
function reflect(i: number, n: number): number {
  const once = i < 0 ? -i : i;
  return once >= n ? 2 * (n - 1) - once : once;
}

/** Copies the window at (dy, dx) of the padded, possibly flipped scratch image. */
function cropInto({ shape, augmentation, scratch }: AugmentationPlan, { dy, dx, isFlipped }: Draws, target: Float32Array): void {
  const [channels, height, width] = shape;
  const isReflected = augmentation.cropFill === "reflect";
  for (let c = 0, to = 0; c < channels; c++) {
    for (let y = 0; y < height; y++) {
      const fromY = isReflected ? reflect(y + dy, height) : y + dy;
      const line = (c * height + fromY) * width;
      const isRowInside = fromY >= 0 && fromY < height;
      for (let x = 0; x < width; x++, to++) {
        const shifted = (isFlipped ? width - 1 - x : x) + dx;
        const fromX = isReflected ? reflect(shifted, width) : shifted;
        target[to] = isRowInside && fromX >= 0 && fromX < width ? scratch[line + fromX]! : 0;
      }
    }
  }
}

/** Zeroes a square of `side` pixels around (cutY, cutX), clipped at the borders. */
function cutOut([channels, height, width]: ImageShape, side: number, { cutY, cutX }: Draws, target: Float32Array): void {
  const [top, left] = [cutY - (side >> 1), cutX - (side >> 1)];
  const [from, to] = [Math.max(0, left), Math.min(width, left + side)];
  for (let c = 0; c < channels; c++) {
    for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
      const line = (c * height + y) * width;
      target.fill(0, line + from, line + to);
    }
  }
}

/**
 * Writes one normalised image with the plan's random changes. The result depends on the arguments alone.
 *
 * @param source [C, H, W], 0…255
 * @param target [C, H, W], written
 * @param rng    a stream of this image's own in this epoch; null: no random changes
 */
export function augmentInto(plan: AugmentationPlan, source: Uint8Array, target: Float32Array, rng: Rng | null): void {
  const { shape, augmentation, scratch } = plan;
  if (rng === null) {
    lookUpInto(plan, source);
    target.set(scratch);
    return;
  }
  const draws = drawAll(shape, augmentation, rng);
  if (augmentation.brightness || augmentation.contrast || augmentation.saturation) jitterInto(plan, source, draws);
  else lookUpInto(plan, source);
  cropInto(plan, draws, target);
  if (augmentation.cutout) cutOut(shape, augmentation.cutout, draws, target);
}
