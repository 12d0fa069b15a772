/** @file Search spaces from files. */
import { existsSync, readFileSync } from "node:fs";
import { AppError } from "../errors.ts";
import { mobileNetSpace, parseSpace, type SpaceDescription } from "./description.ts";

/**
 * The space of a JSON file, or the default one for these images.
 * @throws AppError CONFIG when the file is missing, not valid, or does not fit the images
 */
export function loadSpace(file: string | undefined, options: Parameters<typeof mobileNetSpace>[0]): SpaceDescription {
  if (file === undefined) return mobileNetSpace(options);
  if (!existsSync(file)) throw new AppError("CONFIG", `space: ${file} must exist, got no such file`);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new AppError("CONFIG", `space: ${file} must be JSON, got ${(error as Error).message}`);
  }
  const space = parseSpace(value, `space ${file}`);
  if (space.input.join() !== options.input.join() || space.classes !== options.classes) {
    const [want, got] = [`${space.input.join("x")} in ${space.classes} classes`, `${options.input.join("x")} in ${options.classes}`];
    throw new AppError("CONFIG", `space ${file}: the data must be images of ${want}, got ${got}`);
  }
  return space;
}
