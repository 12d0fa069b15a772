/** @file What a data set is to the rest of the project: images in memory, split and labelled. */

/** Shape of every image of a set. */
export type ImageShape = readonly [channels: number, height: number, width: number];

/** Labelled images of one shape. `images` and thus its buffer are shared with worker threads and never written after loading. */
export interface ImageSet {
  readonly shape: ImageShape;
  /** Names of the classes; labels are indices into it. */
  readonly classes: readonly string[];
  /** [N, C, H, W], 0…255, backed by a SharedArrayBuffer. */
  readonly images: Uint8Array;
  /** [N], 0…classes.length - 1. */
  readonly labels: Int32Array;
  /** N. */
  readonly count: number;
}

/** Per channel, for pixels scaled to 0…1: x = (pixel / 255 - mean) / std. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** A data set in three parts that share shape and classes. Nothing but the final report may look at `test`. */
export interface DataSplits {
  /** The spec it was loaded from. */
  readonly name: string;
  readonly train: ImageSet;
  readonly validation: ImageSet;
  readonly test: ImageSet;
  /** Computed on `train`. */
  readonly normalisation: Normalisation;
  /** What a loader split by; the same seed gives the same parts again. */
  readonly splitSeed?: number;
}

/** Random changes to training images, in the order: colour jitter, crop, flip, cutout. An absent field changes nothing. */
export interface Augmentation {
  /** Padding on every side before a random crop back to the image's size, pixels ≥ 0. */
  readonly crop?: number;
  /** What the padding holds: "zero" (default) is the channel's mean after normalisation, "reflect" mirrors without repeating the edge. */
  readonly cropFill?: "zero" | "reflect";
  /** Horizontal flip with probability 1/2. */
  readonly flip?: boolean;
  /** Pixels are multiplied by a factor uniform in [max(0, 1 - brightness), 1 + brightness]. */
  readonly brightness?: number;
  /** Blends with the mean grey of the image; the factor is drawn as for brightness. */
  readonly contrast?: number;
  /** Blends with the grey image; the factor is drawn as for brightness. Changes nothing unless images have 3 channels. */
  readonly saturation?: number;
  /** Side of a square at a random centre that is set to the mean, pixels ≥ 0. Paper: DeVries & Taylor 2017, arXiv:1708.04552. */
  readonly cutout?: number;
}

/** Images ready for the network. Its arrays are valid until the next batch is requested. */
export interface Batch {
  /** [size, C, H, W], normalised. */
  readonly x: Float32Array;
  /** [size]. */
  readonly labels: Int32Array;
  /** [size], positions in the set. */
  readonly indices: Int32Array;
  readonly size: number;
}
