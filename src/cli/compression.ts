/** @file What `prune` and `quantize` share: options, the model and its images. */
import type { Command } from "commander";
import type { CompressionOptions } from "../run/compression-steps.ts";
import type { Recipe } from "../train/recipe.ts";
import { configOf } from "./config.ts";
import type { CommandContext } from "./main.ts";
import {
  type CommonFlags,
  count,
  type DataFlags,
  type ForeignFlags,
  loadOptions,
  number,
  withData,
  withForeign,
  withRun,
} from "./options.ts";
import { note, printJson } from "./output.ts";
import { createProgressBar } from "./progress-bar.ts";
import { type RecipeFlags, withRecipe } from "./train.ts";

export interface CompressionFlags extends DataFlags, CommonFlags, RecipeFlags, ForeignFlags {
  readonly episodes: number;
  readonly warmup: number;
  readonly distillation: boolean;
  readonly baselines?: true;
  readonly resume?: true;
  readonly out: string;
  readonly threads: number;
}

export interface CompressionDefaults {
  readonly folder: string;
  readonly epochs: number;
  readonly episodes: number;
  readonly warmup: number;
  /** Highest learning rate of fine-tuning. */
  readonly lr: number;
}

export function withCompression(command: Command, { folder, epochs, episodes, warmup, lr }: CompressionDefaults): Command {
  return withForeign(withRecipe(withData(withRun(command, folder)), epochs, 0, lr))
    .option("--episodes <n>", "policies that are tried", count, episodes)
    .option("--warmup <n>", "episodes of random actions first", number({ min: 0, integer: true }), warmup)
    .option("--no-distillation", "fine-tune on the labels alone, not on the original's outputs")
    .option("--baselines", "also what simple rules give within the limit, for comparison")
    .option("--resume", "go on with the run in --out");
}

/**
 * Opens the model and loads its images; null after `--dry-run`, which prints the resolved configuration.
 * @throws AppError CONFIG when the images do not fit the model
 */
export async function loadCompression(
  verb: "prune" | "quantize",
  target: string,
  flags: CompressionFlags,
  { argv, signal, protect }: CommandContext,
  resolved: Readonly<Record<string, unknown>> & { readonly recipe: Recipe },
): Promise<{ common: CompressionOptions; bar: ReturnType<typeof createProgressBar> } | null> {
  const [{ modelFingerprint, openModel }, { givenNormalisation, loadImagesFor }, { imagesFingerprint }, { requireFreeFolder }] =
    await Promise.all([
      import("../run/model-file.ts"),
      import("../run/labelled-model.ts"),
      import("../run/fingerprints.ts"),
      import("../run/replace.ts"),
    ]);
  const given = givenNormalisation(verb, flags);
  const { json, dryRun, resume, debug, ...rest } = flags as CompressionFlags & { debug?: unknown };
  const opened = await openModel(target, flags.input);
  const splitSeed = flags.splitSeed ?? opened.trainedWith.splitSeed ?? flags.seed;
  const config = configOf(argv, verb, { model: target, ...rest, splitSeed, ...resolved });
  if (dryRun) {
    printJson(config);
    return null;
  }
  if (!flags.resume) requireFreeFolder(flags.out, { ...flags, model: opened.path });
  const bar = createProgressBar({ isQuiet: json === true });
  const data = await loadImagesFor(verb, opened, flags.data, loadOptions({ ...flags, splitSeed }, bar.onProgress), {
    given,
    onNote: (text) => note(`fettle: ${text}`),
  });
  return {
    bar,
    common: {
      model: opened.model,
      source: opened.path,
      data,
      episodes: flags.episodes,
      warmup: flags.warmup,
      recipe: resolved.recipe,
      distillation: flags.distillation,
      dir: flags.out,
      config: {
        ...config,
        modelSha256: modelFingerprint(opened.model),
        ...imagesFingerprint(data),
      },
      ...(flags.resume ? { resume: true } : {}),
      threads: flags.threads,
      signal,
      onStart: protect,
      onProgress: bar.onProgress,
      onNote: bar.onNote,
    },
  };
}
