/** @file Search spaces from files. */
import { existsSync, readFileSync } from "node:fs";
import { AppError } from "../errors.ts";
import { mobileNetSpace, parseSpace, type SpaceDescription } from "./description.ts";
import { type ElasticSpace, elasticMobileNet, parseElasticSpace } from "./elastic.ts";

interface Images {
  readonly input: readonly [number, number, number];
  readonly classes: number;
  /** Of the default space. */
  readonly width?: number;
}

function readSpace<S extends { readonly input: readonly number[]; readonly classes: number }>(
  file: string,
  parse: (value: unknown, where: string) => S,
  images: Images,
): S {
  if (!existsSync(file)) throw new AppError("CONFIG", `space: ${file} must exist, got no such file`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new AppError("CONFIG", `space: ${file} must be JSON, got ${(error as Error).message}`);
  }
  const space = parse(value, `space ${file}`);
  if (space.input.join() !== images.input.join() || space.classes !== images.classes) {
    const [want, got] = [`${space.input.join("x")} in ${space.classes} classes`, `${images.input.join("x")} in ${images.classes}`];
    throw new AppError("CONFIG", `space ${file}: the data must be images of ${want}, got ${got}`);
  }
  return space;
}

/**
 * The space of a JSON file, or the default one for these images.
 * @throws AppError CONFIG when the file is missing, not valid, or does not fit the images
 */
export const loadSpace = (file: string | undefined, images: Images): SpaceDescription =>
  file === undefined ? mobileNetSpace(images) : readSpace(file, parseSpace, images);

/** The same for elastic spaces. */
export const loadElasticSpace = (file: string | undefined, images: Images): ElasticSpace =>
  file === undefined ? elasticMobileNet(images) : readSpace(file, parseElasticSpace, images);
