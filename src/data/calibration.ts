/** @file Images that statistics and ranges are taken from. */
import { createRng } from "../util/rng.ts";
import { batches } from "./batches.ts";
import type { DataSplits } from "./types.ts";

/** At most `count` equal batches of normalised training images, unaugmented; the same for the same seed. */
export function calibrationBatches(
  data: DataSplits,
  { seed, count, batchSize }: { readonly seed: number; readonly count: number; readonly batchSize: number },
): Float32Array[] {
  const size = Math.min(batchSize, data.train.count);
  const order = { batchSize: size, normalisation: data.normalisation, augmentation: null, shuffle: true, dropLast: true, epoch: 0 };
  const result: Float32Array[] = [];
  for (const batch of batches(data.train, { ...order, rng: createRng(seed).fork("calibration") })) {
    result.push(batch.x.slice());
    if (result.length === count) break;
  }
  return result;
}
