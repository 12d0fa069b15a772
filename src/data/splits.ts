/** @file Sources of images as training, validation and test sets in memory. */
import { AppError } from "../errors.ts";
import { createRng } from "../util/rng.ts";
import { channelStatistics } from "./normalisation.ts";
import { memorySource, narrow, type Sources } from "./source.ts";
import { stratifiedSample, stratifiedSplit } from "./stratify.ts";
import type { DataSplits, ImageShape } from "./types.ts";

export interface SplitOptions {
  /** Decides every split (default 0). */
  readonly seed?: number;
  /** Share of the training images that becomes the validation set, [0, 1) (default 0.1). */
  readonly validationRatio?: number;
  /** Share of the images that becomes the test set where the data has none, (0, 1) (default 0.2). */
  readonly testRatio?: number;
  /** At most this many training images, every class in proportion, for quick runs (default: all). */
  readonly limit?: number;
  /** Images loaded so far, over all splits. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** @throws AppError DATA when there is nothing to tell apart */
function requireTwoClasses(spec: string, labels: Int32Array, classes: readonly string[]): void {
  const present = [...new Set(labels)];
  if (present.length >= 2) return;
  const found = present.map((label) => `"${classes[label]}"`).join("");
  throw new AppError("DATA", `data ${spec}: training images must be of at least 2 classes, got only ${found}`);
}

/** @throws AppError DATA naming a class that no image shows: a label that is wrong makes classes that do not exist */
function requireEveryClass(spec: string, labels: Int32Array, classes: readonly string[]): void {
  const present = new Set(labels);
  const missing = classes.filter((_, label) => !present.has(label));
  if (missing.length === 0) return;
  throw new AppError(
    "DATA",
    `data ${spec}: each of ${classes.length} classes must have at least 1 training image, got none of "${missing[0]}"${missing.length > 1 ? ` and ${missing.length - 1} more` : ""}`,
  );
}

function requireImages(spec: string, split: string, count: number, advice: string): void {
  if (count > 0) return;
  throw new AppError("DATA", `data ${spec}: the ${split} split must hold at least 1 image, got 0 — ${advice}`);
}

/** Splits and loads. @param spec names the data in errors @throws AppError DATA when a part is empty or a class is missing */
export async function splitSources(spec: string, sources: Sources, options: SplitOptions = {}): Promise<DataSplits> {
  const { seed = 0, validationRatio = 0.1, testRatio = 0.2, limit, onProgress } = options;
  const rng = createRng(seed).fork("data");
  let { train, validation, test } = sources;
  requireTwoClasses(spec, train.labels, train.classes);
  requireEveryClass(spec, train.labels, train.classes);
  if (test === null) {
    const [rest, part] = stratifiedSplit(train.labels, testRatio, rng.fork("test"));
    [train, test] = [narrow(train, rest), narrow(train, part)];
  }
  if (validation === null) {
    const [rest, part] = stratifiedSplit(train.labels, validationRatio, rng.fork("validation"));
    [train, validation] = [narrow(train, rest), narrow(train, part)];
    if (validationRatio > 0) requireImages(spec, "validation", part.length, "add images or raise validationRatio");
  }
  requireImages(spec, "test", test.labels.length, "add images or raise testRatio");
  if (limit !== undefined) train = narrow(train, stratifiedSample(train.labels, limit, rng.fork("limit")));

  const total = train.labels.length + validation.labels.length + test.labels.length;
  let done = 0;
  const onImage = () => onProgress?.(++done, total);
  const all = (source: typeof train) => source.load(Int32Array.from(source.labels.keys()), onImage);
  const trainSet = await all(train);
  const validationSet = await all(validation);
  const testSet = await all(test);
  return {
    name: spec,
    train: trainSet,
    validation: validationSet,
    test: testSet,
    normalisation: channelStatistics(trainSet),
    splitSeed: seed,
  };
}

/** Labelled images of a program of one's own. */
export interface LabelledImages {
  /** [N, C, H, W], 0…255. */
  readonly images: Uint8Array;
  /** [N], indices into `classes`. */
  readonly labels: Int32Array;
}
export interface OwnImages {
  /** For cards and reports. */
  readonly name: string;
  readonly shape: ImageShape;
  readonly classes: readonly string[];
  readonly train: LabelledImages;
  /** Absent parts are cut from `train`. */
  readonly validation?: LabelledImages;
  readonly test?: LabelledImages;
}

/** Images of one's own as a data set: split where parts are absent, copied into shared memory. @throws AppError DATA */
export function dataFromImages(
  { name, shape, classes, train, validation, test }: OwnImages,
  options: SplitOptions = {},
): Promise<DataSplits> {
  const size = shape.reduce((product, n) => product * n, 1);
  const source = (part: LabelledImages, what: string) => {
    if (part.images.length !== part.labels.length * size)
      throw new AppError(
        "DATA",
        `data ${name}: ${what} images must have ${size} bytes for each of ${part.labels.length} labels, got ${part.images.length}`,
      );
    const wrong = part.labels.find((label) => label < 0 || label >= classes.length);
    if (wrong !== undefined)
      throw new AppError("DATA", `data ${name}: ${what} labels must be from 0 to ${classes.length - 1}, got ${wrong}`);
    return memorySource(shape, classes, part.labels, part.images);
  };
  return splitSources(
    name,
    {
      train: source(train, "training"),
      validation: validation ? source(validation, "validation") : null,
      test: test ? source(test, "test") : null,
    },
    options,
  );
}
