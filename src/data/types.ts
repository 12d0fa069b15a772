/** @file Labelled images in memory. */

/** Images as bytes, [N, C, H, W] row-major in shared memory, so that a worker thread can read them too. */
export interface ImageSet {
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly classes: readonly string[];
  readonly images: Uint8Array<SharedArrayBuffer>;
  readonly labels: Int32Array;
  readonly count: number;
}

/** Per channel, for pixels scaled to 0…1. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** One data set, split. Searches see train and validation; test is for the final report alone. */
export interface DataSplits {
  readonly name: string;
  readonly train: ImageSet;
  readonly validation: ImageSet;
  readonly test: ImageSet;
  /** Computed on the training images. */
  readonly normalisation: Normalisation;
}

/** Random changes of training images. */
export interface Augmentation {
  /** Shift by up to this many pixels, filling with the mean colour. */
  readonly crop?: number;
  /** Mirror half of the images. */
  readonly flip?: boolean;
  /** Multiply by 1 ± up to this much. */
  readonly brightness?: number;
  /** Scale the distance from the image's mean by 1 ± up to this much. */
  readonly contrast?: number;
  /** Scale the distance from grey by 1 ± up to this much (three-channel images). */
  readonly saturation?: number;
  /** Blank a square of this side. Paper: DeVries and Taylor 2017, arXiv:1708.04552. */
  readonly cutout?: number;
}

/** Normalised images [size, C, H, W] and their labels. Valid until the next batch is asked for. */
export interface Batch {
  readonly x: Float32Array;
  readonly labels: Int32Array;
  /** Positions in the image set. */
  readonly indices: Int32Array;
  readonly size: number;
}

export interface BatchOptions {
  readonly batchSize: number;
  readonly normalisation: Normalisation;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
  readonly shuffle: boolean;
  /** Leave out the last, smaller batch. */
  readonly dropLast: boolean;
}
