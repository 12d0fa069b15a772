/** @file A model with the images that it is to work on: of its size, its classes, with its normalisation. */
import { type LoadOptions, loadData } from "../data/load.ts";
import type { DataSplits, ImageShape, Normalisation } from "../data/types.ts";
import { AppError } from "../errors.ts";
import { withLogits } from "../graph/ending.ts";
import { inferShapes } from "../graph/shapes.ts";
import { type OpenedModel, requireSameClasses } from "./model-file.ts";

function adviceFor([channels, height, width]: readonly string[], got: ImageShape): string {
  if (channels === "1" && got[0] === 3) return "images of folders have 3 channels: give grey ones as IDX files (idx:DIR)";
  if (channels === "3" && got[0] === 1) return "give them as a folder (images:DIR), where grey images get 3 channels";
  if (channels === "1") return "bring the IDX files to the model's size";
  if (height !== width)
    return "a folder is read so where all its images have that size, none has a side over 64 pixels, and --size is left out; others come from a program (dataFromImages)";
  return "give them as a folder (images:DIR) without --size: its images are resized to the model's";
}

/** What is wrong when a model reads images of another shape, "CxHxW", than there are, and what to do. */
export const unfitting = (path: string, wanted: string, got: ImageShape): string =>
  `images must be ${wanted} as ${path} reads them, got ${got.join("x")} — ${adviceFor(wanted.split("x"), got)}`;

/** @param where names the command in errors @throws AppError CONFIG when the images do not fit the model */
export function requireImagesFor(where: string, { model, path, trainedWith }: OpenedModel, { train }: DataSplits): void {
  const { shape } = model.graph.input;
  if (train.shape.join() !== shape.join()) throw new AppError("CONFIG", `${where}: ${unfitting(path, shape.join("x"), train.shape)}`);
  const logits = withLogits(model.graph);
  const outputs = inferShapes(logits).get(logits.output)!;
  const classes = train.classes.length;
  if (outputs.join() !== `${classes}`)
    throw new AppError(
      "CONFIG",
      `${where}: ${path} must end in one number for each of the ${classes} classes of the images, got ${outputs.join("x")}`,
    );
  requireSameClasses(`${where}: ${path}`, trainedWith.classes, train.classes);
}

/** What the user says of the model's normalisation, and where it is noted that nobody did. */
export interface Told {
  readonly given: Normalisation | null;
  readonly onNote: (text: string) => void;
}

const list = (values: readonly number[]) => values.map((value) => Number(value.toFixed(4))).join(",");

/**
 * What the user says the model was trained with, else what its card says, else what the images suggest, which is told.
 * @throws AppError CONFIG when it is not for the channels of the images
 */
export function normalisationFor(
  where: string,
  path: string,
  known: Normalisation | null,
  data: DataSplits,
  { given, onNote }: Told,
): Normalisation {
  const channels = data.train.shape[0];
  if (given && given.mean.length !== channels)
    throw new AppError(
      "CONFIG",
      `${where}: --mean and --std must have one number for each of the ${channels} channels of the images, got ${given.mean.length}`,
    );
  if (given ?? known) return (given ?? known)!;
  const { mean, std } = data.normalisation;
  onNote(
    `${path}: --mean and --std were not given; pixels are normalised by the images' own statistics (mean ${list(mean)}, std ${list(std)}) — give what the model was trained with`,
  );
  return data.normalisation;
}

/** @throws AppError CONFIG */
export const normalisedFor = (where: string, { path, trainedWith }: OpenedModel, data: DataSplits, told: Told): DataSplits => ({
  ...data,
  normalisation: normalisationFor(where, path, trainedWith.normalisation, data, told),
});

/** Loads images as the model reads them; those of folders are resized to it. @throws AppError CONFIG, DATA */
export async function loadImagesFor(
  where: string,
  opened: OpenedModel,
  spec: string,
  options: LoadOptions,
  told: Told,
): Promise<DataSplits> {
  const [, height, width] = opened.model.graph.input.shape;
  const isResized = options.size === undefined && spec.startsWith("images:") && height === width;
  const loaded = await loadData(spec, { ...options, ...(isResized ? { size: height! } : {}) });
  requireImagesFor(where, opened, loaded);
  return normalisedFor(where, opened, loaded, told);
}

/** @throws AppError CONFIG when means and deviations are not given together for the same channels */
export function givenNormalisation(
  where: string,
  { mean, std }: { readonly mean?: readonly number[] | undefined; readonly std?: readonly number[] | undefined },
): Normalisation | null {
  if (!mean && !std) return null;
  if (!mean || !std || mean.length !== std.length)
    throw new AppError(
      "CONFIG",
      `${where}: --mean and --std must be given together for the same channels, got ${mean?.length ?? 0} and ${std?.length ?? 0}`,
    );
  const wrong = std.find((value) => !(value > 0));
  if (wrong !== undefined) throw new AppError("CONFIG", `${where}: --std must be above 0 for every channel, got ${wrong}`);
  return { mean, std };
}
