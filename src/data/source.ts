/** @file A source knows the labels of its images at once and delivers the images when asked, so splits are drawn before anything is decoded. */
import { imageSize, subset } from "./image-set.ts";
import type { ImageSet, ImageShape } from "./types.ts";

export interface ImageSource {
  readonly shape: ImageShape;
  readonly classes: readonly string[];
  /** [N]. */
  readonly labels: Int32Array;
  /** The images at `indices`, in that order; `onImage` is called once an image. */
  readonly load: (indices: Int32Array, onImage: () => void) => Promise<ImageSet>;
}

/** What a format's loader finds: absent parts are cut from `train`. */
export interface Sources {
  readonly train: ImageSource;
  readonly validation: ImageSource | null;
  readonly test: ImageSource | null;
}

/** A source over pixels that are in memory already, [N, C, H, W]. */
export function memorySource(shape: ImageShape, classes: readonly string[], labels: Int32Array, images: Uint8Array): ImageSource {
  return {
    shape,
    classes,
    labels,
    load: async (indices, onImage) => {
      const set = subset({ shape, classes, images, labels, count: images.length / imageSize(shape) }, indices);
      for (let i = 0; i < indices.length; i++) onImage();
      return set;
    },
  };
}

/** The part of a source at `indices`. */
export function narrow(source: ImageSource, indices: Int32Array): ImageSource {
  return {
    ...source,
    labels: indices.map((index) => source.labels[index]!),
    load: (inner, onImage) =>
      source.load(
        inner.map((i) => indices[i]!),
        onImage,
      ),
  };
}
