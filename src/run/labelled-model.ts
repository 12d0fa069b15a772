/** @file A model with the images that it is to work on: of its size, its classes, with its normalisation. */
import { type LoadOptions, loadData } from "../data/load.ts";
import type { DataSplits, Normalisation } from "../data/types.ts";
import { AppError } from "../errors.ts";
import { withLogits } from "../graph/ending.ts";
import { inferShapes } from "../graph/shapes.ts";
import { type OpenedModel, requireSameClasses } from "./model-file.ts";

/** @param where names the command in errors @throws AppError CONFIG when the images do not fit the model */
export function requireImagesFor(where: string, { model, path, trainedWith }: OpenedModel, { train }: DataSplits): void {
  const { shape } = model.graph.input;
  if (train.shape.join() !== shape.join())
    throw new AppError("CONFIG", `${where}: images must be ${shape.join("x")} as ${path} reads them, got ${train.shape.join("x")}`);
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

/** What the user says the model was trained with, else what its card says, else what the images suggest. */
export const normalisedFor = ({ trainedWith }: OpenedModel, data: DataSplits, given: Normalisation | null): DataSplits => ({
  ...data,
  normalisation: given ?? trainedWith.normalisation ?? data.normalisation,
});

/** Loads images as the model reads them; those of folders are resized to it. @throws AppError CONFIG, DATA */
export async function loadImagesFor(
  where: string,
  opened: OpenedModel,
  spec: string,
  options: LoadOptions,
  given: Normalisation | null,
): Promise<DataSplits> {
  const [, height, width] = opened.model.graph.input.shape;
  const isResized = options.size === undefined && spec.startsWith("images:") && height === width;
  const loaded = await loadData(spec, { ...options, ...(isResized ? { size: height! } : {}) });
  requireImagesFor(where, opened, loaded);
  return normalisedFor(opened, loaded, given);
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
  return { mean, std };
}
