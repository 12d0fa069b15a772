/** @file What `joint search` and `joint compare` share: options, the supernet's images, the device. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { type JointSearchRunOptions, JUDGED } from "../run/joint-search-options.ts";
import type { Recipe } from "../train/recipe.ts";
import type { CommandContext } from "./main.ts";
import { type CommonFlags, count, loadOptions, number, withRun } from "./options.ts";
import { createProgressBar } from "./progress-bar.ts";
import { type RecipeFlags, withRecipe } from "./train.ts";

export interface SpecialiseFlags extends CommonFlags, RecipeFlags {
  readonly data?: string;
  readonly population: number;
  readonly generations: number;
  readonly judge: number;
  readonly distillation: boolean;
  readonly resume?: true;
  readonly threads: number;
  readonly out: string;
}

export function withSpecialise(command: Command, folder: string): Command {
  return withRecipe(withRun(command, folder), 12, 0, 0.05)
    .argument("<supernet>", "folder of a trained supernet")
    .option("--data <set>", "its images, if they have moved since it was trained")
    .option("--population <n>", "sub-nets of a generation", number({ min: 4, integer: true }), 100)
    .option("--generations <n>", "generations", count, 500)
    .option("--judge <n>", "of the best as predicted, judge so many on validation images and take the best", count, JUDGED)
    .option("--no-distillation", "fine-tune on the labels alone, not on the largest sub-net's outputs");
}

/** Opens the supernet's images. @throws AppError CONFIG, DATA */
export async function loadSpecialise(
  supernet: string,
  flags: SpecialiseFlags,
  config: unknown,
  recipe: Recipe,
  { signal, protect }: CommandContext,
): Promise<{ common: Omit<JointSearchRunOptions, "device" | "budgets" | "method">; bar: ReturnType<typeof createProgressBar> }> {
  const [{ loadData }, { fileFingerprint, imagesFingerprint }, { FLOAT_PREDICTOR, PREDICTOR, readJointDescription, SUPERNET }] =
    await Promise.all([import("../data/load.ts"), import("../run/fingerprints.ts"), import("../run/joint-folder.ts")]);
  const { requireFreeFolder } = await import("../run/replace.ts");
  const { data: source, normalisation } = readJointDescription(supernet);
  if (!flags.resume) requireFreeFolder(flags.out, { ...flags, model: join(supernet, SUPERNET) });
  const bar = createProgressBar({ isQuiet: flags.json === true });
  const { name, splitSeed, validation, size, limit } = source;
  const how = { data: name, seed: splitSeed, splitSeed, validation, ...(size ? { size } : {}), ...(limit ? { limit } : {}) };
  const loaded = await loadData(flags.data ?? name, loadOptions(how, bar.onProgress));
  return {
    bar,
    common: {
      supernetDir: supernet,
      dir: flags.out,
      // the same folder may hold another supernet by the time that a run is gone on with
      config: {
        ...(config as Readonly<Record<string, unknown>>),
        supernetSha256: fileFingerprint(join(supernet, SUPERNET)),
        predictorsSha256: [FLOAT_PREDICTOR, PREDICTOR]
          .map((file) => join(supernet, file))
          .filter((path) => existsSync(path))
          .map(fileFingerprint),
        ...imagesFingerprint(loaded),
      },
      population: flags.population,
      generations: flags.generations,
      judged: flags.judge,
      threads: flags.threads,
      data: { ...loaded, normalisation },
      recipe,
      distillation: flags.distillation,
      ...(flags.resume ? { resume: true } : {}),
      signal,
      onStart: protect,
      onProgress: bar.onProgress,
      onNote: bar.onNote,
    },
  };
}
