/** @file Random changes of an image on its way from bytes to normalised floats. */
import type { Rng } from "../util/rng.ts";
import type { Augmentation, ImageSet, Normalisation } from "./types.ts";

const spread = (rng: Rng, amount: number) => 1 + amount * (2 * rng.uniform() - 1);

/** Colour as one affine map per channel, v ↦ Σ mixed: brightness and contrast scale, saturation pulls channels to their mean. */
function jitterColour(pixels: Float32Array, at: number, channels: number, cells: number, a: Augmentation, rng: Rng): void {
  const brightness = spread(rng, a.brightness ?? 0);
  const contrast = spread(rng, a.contrast ?? 0);
  const saturation = spread(rng, a.saturation ?? 0);
  const end = at + channels * cells;
  let sum = 0;
  for (let i = at; i < end; i++) sum += pixels[i]!;
  const mean = sum / (channels * cells);
  for (let i = at; i < end; i++) pixels[i] = Math.min(1, Math.max(0, ((pixels[i]! - mean) * contrast + mean) * brightness));
  if (channels !== 3) return;
  for (let i = at; i < at + cells; i++) {
    const [r, g, b] = [pixels[i]!, pixels[i + cells]!, pixels[i + 2 * cells]!];
    const grey = 0.299 * r + 0.587 * g + 0.114 * b;
    for (let c = 0; c < 3; c++) {
      const j = i + c * cells;
      pixels[j] = Math.min(1, Math.max(0, grey + (pixels[j]! - grey) * saturation));
    }
  }
}

/**
 * Writes image `index` of `set`, changed at random and normalised, to `into` from `at` on. What a shift or a blank uncovers is
 * the mean colour, 0 after normalisation.
 */
export function augmentInto(
  into: Float32Array,
  at: number,
  set: ImageSet,
  index: number,
  normalisation: Normalisation,
  augmentation: Augmentation | null,
  rng: Rng,
): void {
  const [channels, height, width] = set.shape;
  const cells = height * width;
  const from = index * channels * cells;
  const crop = augmentation?.crop ?? 0;
  const dy = crop ? rng.int(2 * crop + 1) - crop : 0;
  const dx = crop ? rng.int(2 * crop + 1) - crop : 0;
  const isFlipped = augmentation?.flip === true && rng.uniform() < 0.5;
  const hasColour = augmentation !== null && (augmentation.brightness || augmentation.contrast || augmentation.saturation);
  for (let c = 0; c < channels; c++) {
    const mean = normalisation.mean[c]!;
    for (let y = 0; y < height; y++) {
      const row = at + c * cells + y * width;
      const sy = y + dy;
      if (sy < 0 || sy >= height) {
        into.fill(mean, row, row + width);
        continue;
      }
      const source = from + c * cells + sy * width;
      for (let x = 0; x < width; x++) {
        const sx = (isFlipped ? width - 1 - x : x) + dx;
        into[row + x] = sx < 0 || sx >= width ? mean : set.images[source + sx]! / 255;
      }
    }
  }
  if (hasColour) jitterColour(into, at, channels, cells, augmentation, rng);
  for (let c = 0; c < channels; c++) {
    const mean = normalisation.mean[c]!;
    const scale = 1 / normalisation.std[c]!;
    for (let i = at + c * cells; i < at + (c + 1) * cells; i++) into[i] = (into[i]! - mean) * scale;
  }
  if (augmentation?.cutout) blank(into, at, set.shape, augmentation.cutout, rng);
}

function blank(into: Float32Array, at: number, [channels, height, width]: ImageSet["shape"], side: number, rng: Rng): void {
  const top = rng.int(height) - (side >> 1);
  const left = rng.int(width) - (side >> 1);
  for (let c = 0; c < channels; c++) {
    for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
      const row = at + (c * height + y) * width;
      into.fill(0, row + Math.max(0, left), row + Math.min(width, left + side));
    }
  }
}
