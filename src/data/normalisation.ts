/** @file Mean and standard deviation of the pixels of a set. */
import { imageSize } from "./image-set.ts";
import type { ImageSet, Normalisation } from "./types.ts";

/**
 * Mean and population standard deviation of each channel over N, H, W, of pixels scaled to 0…1. Exact in any order: computed from
 * a histogram of the 256 values. A constant channel gets std 1, so that it normalises to 0.
 */
export function channelStatistics(set: ImageSet): Normalisation {
  const [channels, height, width] = set.shape;
  const plane = height * width;
  const size = imageSize(set.shape);
  const mean: number[] = [];
  const std: number[] = [];
  for (let c = 0; c < channels; c++) {
    const histogram = new Float64Array(256);
    for (let n = 0; n < set.count; n++) {
      const start = n * size + c * plane;
      for (let i = start; i < start + plane; i++) histogram[set.images[i]!]!++;
    }
    const pixels = Math.max(1, set.count * plane);
    const average = histogram.reduce((sum, count, value) => sum + count * value, 0) / pixels;
    const variance = histogram.reduce((sum, count, value) => sum + count * (value - average) ** 2, 0) / pixels;
    mean.push(average / 255);
    std.push(variance > 0 ? Math.sqrt(variance) / 255 : 1);
  }
  return { mean, std };
}
