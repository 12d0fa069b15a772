/** @file Options that several commands share. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { dataForms } from "../data/forms.ts";
import type { LoadOptions } from "../data/load.ts";
import type { OnProgress } from "../util/progress.ts";

/** A parser for numbers in a range; commander turns its error into a usage error. */
export function number({ min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, integer = false } = {}): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !(value >= min && value <= max) || (integer && !Number.isInteger(value))) {
      const range = `${min === Number.NEGATIVE_INFINITY ? "" : ` from ${min}`}${max === Number.POSITIVE_INFINITY ? "" : ` to ${max}`}`;
      throw new InvalidArgumentError(`must be ${integer ? "a whole number" : "a number"}${range}.`);
    }
    return value;
  };
}
export const count = number({ min: 1, integer: true });
export const ratio = number({ min: 0, max: 1 });

/** "0.5,0.4,0.4" → [0.5, 0.4, 0.4]. */
export const numbers = (text: string): number[] => text.split(",").map(number());

/** "3x224x224" → [3, 224, 224]. */
export function imageShape(text: string): [number, number, number] {
  const parts = text.split("x").map(Number);
  if (parts.length !== 3 || parts.some((n) => !Number.isInteger(n) || n < 1))
    throw new InvalidArgumentError("must be channels x height x width, for example 3x224x224.");
  return parts as [number, number, number];
}

export interface DataFlags {
  readonly data: string;
  readonly size?: number;
  readonly validation: number;
  readonly limit?: number;
  readonly seed: number;
  readonly splitSeed?: number;
}
export function withData(command: Command): Command {
  return command
    .requiredOption("--data <set>", `labelled images: ${dataForms}`)
    .option("--size <pixels>", "side of the square that images of a folder are resized to", count)
    .option("--validation <share>", "share of the training images held out for validation", number({ min: 0.001, max: 0.9 }), 0.1)
    .option("--limit <images>", "use at most this many training images", count)
    .option(
      "--split-seed <n>",
      "seed of the split into training, validation and test images (default: the model's own where its card tells, or --seed)",
      number({ min: 0, integer: true }),
    );
}

/** What the data flags say to the loader. */
export function loadOptions({ seed, splitSeed, validation, size, limit }: DataFlags, onProgress?: OnProgress): LoadOptions {
  return {
    seed: splitSeed ?? seed,
    validationRatio: validation,
    ...(size === undefined ? {} : { size }),
    ...(limit === undefined ? {} : { limit }),
    ...(onProgress ? { onProgress: (done, total) => onProgress({ task: "reading images", done, total }) } : {}),
  };
}

/** What the file of a foreign model does not tell. */
export interface ForeignFlags {
  readonly input?: [number, number, number];
  readonly mean?: number[];
  readonly std?: number[];
}
export function withForeign(command: Command): Command {
  return command
    .option("--input <CxHxW>", "input where the model's file leaves it open", imageShape)
    .option("--mean <list>", "means that the model's input was normalised with, per channel of 0…1 pixels", numbers)
    .option("--std <list>", "deviations that it was divided by", numbers);
}

export interface CommonFlags {
  readonly json?: true;
  readonly dryRun?: true;
  readonly overwrite?: true;
}
export const withJson = (command: Command): Command => command.option("--json", "print the result as JSON");
export function withRun(command: Command, folder: string): Command {
  return withJson(command)
    .option("--out <dir>", "folder of the run", folder)
    .option("--seed <n>", "seed of every random choice", number({ min: 0, integer: true }), 0)
    .option("--threads <n>", "threads that the exported model is timed with", count, 1)
    .option("--overwrite", "replace the run that is in --out")
    .option("--dry-run", "print the resolved configuration and stop");
}

export const choice = (flags: string, text: string, choices: readonly string[], fallback: string): Option =>
  new Option(flags, text).choices([...choices]).default(fallback);

export const examples = (lines: readonly string[]): string => `\nExamples:\n${lines.map((line) => `  $ fettle ${line}`).join("\n")}\n`;
