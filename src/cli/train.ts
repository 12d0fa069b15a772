/** @file `fettle train`: a reference network on labelled images, exported and measured. */
import { join } from "node:path";
import type { Command } from "commander";
import { requireNetwork } from "../graph/networks/index.ts";
import type { Recipe } from "../train/recipe.ts";
import { systemClock } from "../util/clock.ts";
import { createProgress } from "../util/progress.ts";
import { formatBytes, formatMs, formatPercent } from "../util/units.ts";
import { configOf } from "./config.ts";
import type { CommandContext } from "./main.ts";
import { type CommonFlags, choice, count, type DataFlags, examples, loadOptions, number, ratio, withData, withRun } from "./options.ts";
import { note, print, printJson } from "./output.ts";
import { createProgressBar } from "./progress-bar.ts";
import { writeReport } from "./write-report.ts";

interface TrainFlags extends DataFlags, CommonFlags {
  readonly net: string;
  readonly epochs: number;
  readonly batch: number;
  readonly lr: number;
  readonly optimizer: Recipe["optimizer"];
  readonly schedule: Recipe["schedule"];
  readonly weightDecay: number;
  readonly labelSmoothing: number;
  readonly ema: number;
  readonly crop: number;
  readonly flip: boolean;
  readonly cutout?: number;
  readonly colour?: number;
  readonly teacher?: string;
  readonly resume?: true;
  readonly out: string;
  readonly threads: number;
}

/** Flags of the training recipe, shared with the retraining of `nas`. */
export function withRecipe(command: Command, epochs: number, fewestEpochs = 1, lr = 0.2): Command {
  return command
    .option("--epochs <n>", "passes over the training images", number({ min: fewestEpochs, integer: true }), epochs)
    .option("--batch <images>", "images per step", count, 128)
    .option("--lr <rate>", "highest learning rate", number({ min: 0 }), lr)
    .addOption(choice("--optimizer <name>", "optimizer", ["sgd", "adam"], "sgd"))
    .addOption(choice("--schedule <name>", "course of the learning rate", ["oneCycle", "cosine"], "oneCycle"))
    .option("--weight-decay <rate>", "decay of convolution and linear weights", number({ min: 0 }), 5e-4)
    .option("--label-smoothing <share>", "share of the target spread over all classes", ratio, 0)
    .option("--ema <decay>", "average the weights with this decay, 0 for none", ratio, 0)
    .option("--crop <pixels>", "augmentation: shift images by up to this much", number({ min: 0, integer: true }), 4)
    .option("--no-flip", "augmentation: do not mirror images")
    .option("--cutout <pixels>", "augmentation: blank a square of this side", count)
    .option("--colour <share>", "augmentation: vary brightness, contrast and saturation by up to this share", ratio);
}

export type RecipeFlags = Pick<
  TrainFlags,
  | "epochs"
  | "batch"
  | "lr"
  | "optimizer"
  | "schedule"
  | "weightDecay"
  | "labelSmoothing"
  | "ema"
  | "crop"
  | "flip"
  | "cutout"
  | "colour"
  | "seed"
>;

export function recipeOf(flags: RecipeFlags): Recipe {
  const { crop, flip, cutout, colour } = flags;
  return {
    epochs: flags.epochs,
    batchSize: flags.batch,
    optimizer: flags.optimizer,
    schedule: flags.schedule,
    lr: flags.lr,
    weightDecay: flags.weightDecay,
    labelSmoothing: flags.labelSmoothing,
    ema: flags.ema,
    augmentation: {
      crop,
      flip,
      ...(cutout ? { cutout } : {}),
      ...(colour ? { brightness: colour, contrast: colour, saturation: colour } : {}),
    },
    seed: flags.seed,
  };
}

export function registerTrain(program: Command, context: CommandContext): void {
  const command = program.command("train").description("train a reference network and export it");
  withRecipe(withData(withRun(command, "runs/train")), 24)
    .requiredOption("--net <name>", "reference network, e.g. resnet-20 or mobilenet-v2:0.35 (see `fettle inspect --list`)")
    .option("--teacher <run>", "learn from the network of this run as well (distillation)")
    .option("--resume", "go on from the checkpoint in --out")
    .addHelpText(
      "after",
      examples([
        "train --net resnet-20 --data fashion-mnist --epochs 12 --out runs/fashion",
        "train --net mobilenet-v2:0.25 --data images:photos --teacher runs/big --ema 0.999",
      ]),
    )
    .action((flags: TrainFlags) => train(flags, context));
}

async function train(flags: TrainFlags, { argv, signal, protect }: CommandContext): Promise<void> {
  const { loadData } = await import("../data/load.ts");
  const { fileFingerprint, imagesFingerprint } = await import("../run/fingerprints.ts");
  const { trainNetwork, WEIGHTS } = await import("../run/train-run.ts");
  const { modelPath, requireSameClasses, trainedWith } = await import("../run/model-file.ts");
  const { requireFreeFolder } = await import("../run/replace.ts");
  const recipe = recipeOf(flags);
  requireNetwork(flags.net);
  const model = flags.teacher === undefined ? undefined : modelPath(flags.teacher);
  const teacher = model === undefined ? null : trainedWith(model);
  const splitSeed = flags.splitSeed ?? teacher?.splitSeed ?? flags.seed;
  const config = configOf(argv, "train", {
    net: flags.net,
    data: flags.data,
    size: flags.size,
    validation: flags.validation,
    limit: flags.limit,
    splitSeed,
    teacher: flags.teacher,
    threads: flags.threads,
    recipe,
  });
  if (flags.dryRun) return printJson(config);
  if (!flags.resume) requireFreeFolder(flags.out, { ...flags, model });
  const bar = createProgressBar({ isQuiet: flags.json === true });
  const data = await loadData(flags.data, loadOptions({ ...flags, splitSeed }, bar.onProgress));
  requireSameClasses(`train: the teacher ${flags.teacher}`, teacher?.classes ?? null, data.train.classes);
  let progress: ((done: number, message?: string) => void) | null = null;
  let latest = "";
  const result = await trainNetwork({
    net: flags.net,
    data,
    recipe,
    dir: flags.out,
    config: {
      ...config,
      ...imagesFingerprint(data),
      ...(flags.teacher === undefined ? {} : { teacherSha256: fileFingerprint(join(flags.teacher, WEIGHTS)) }),
    },
    threads: flags.threads,
    signal,
    onStart: protect,
    ...(flags.teacher ? { teacherDir: flags.teacher } : {}),
    ...(flags.resume ? { resume: true } : {}),
    onStep: ({ step, steps }) => {
      progress ??= createProgress("training", steps, systemClock, bar.onProgress);
      progress(step + 1, latest);
    },
    onEpoch: ({ epoch, validation, seconds }) => {
      latest = `epoch ${epoch + 1}: validation ${formatPercent(validation.accuracy)}, ${seconds.toFixed(1)} s`;
    },
  });
  bar.stop();
  if (result.isCancelled) process.exitCode = 4;
  await writeReport(flags.out);
  if (flags.json) return printJson({ out: flags.out, ...result });
  const { card } = result;
  print(
    `test accuracy ${formatPercent(card.accuracy.test)}, ${formatMs(card.latency.p50Ms)} on cpu (1 image, ${flags.threads} thread), ${formatBytes(card.fileBytes)}`,
  );
  print(`saved ${flags.out}/model.onnx, card.json and report.html`);
  if (result.isCancelled) note("fettle: interrupted; the weights so far are saved, `--resume` goes on");
}
