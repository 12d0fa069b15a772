/** @file `fettle joint train`: the network that sub-nets are taken from. */
import type { Command } from "commander";
import type { Ranking } from "../run/joint-ranking.ts";
import type { JointTrainResult } from "../run/joint-train-run.ts";
import { formatPercent } from "../util/units.ts";
import { configOf } from "./config.ts";
import type { CommandContext } from "./main.ts";
import { type CommonFlags, count, type DataFlags, examples, loadOptions, number, withData, withRun } from "./options.ts";
import { print, printJson, table } from "./output.ts";
import { createProgressBar } from "./progress-bar.ts";

interface TrainFlags extends DataFlags, CommonFlags {
  readonly epochs: number;
  readonly lr: number;
  readonly batch: number;
  readonly weightDecay: number;
  readonly width: number;
  readonly space?: string;
  readonly samples: number;
  readonly quantizedSamples: number;
  readonly sampleImages?: number;
  readonly tuneSteps: number;
  readonly tuneLr: number;
  readonly flip: boolean;
  readonly resume?: true;
  readonly out: string;
}

export function registerJointTrain(joint: Command, context: CommandContext): void {
  withData(withRun(joint.command("train").description("train the once-for-all network and its accuracy predictors"), "runs/supernet"))
    .option("--epochs <n>", "epochs over all stages", count, 40)
    .option("--lr <rate>", "highest learning rate of the full network", number({ min: 0 }), 0.2)
    .option("--batch <n>", "images per step", count, 128)
    .option("--weight-decay <rate>", "weight decay", number({ min: 0 }), 4e-5)
    .option("--width <factor>", "widths of the default space relative to the papers'", number({ min: 0.1, max: 4 }), 0.5)
    .option("--space <file>", "elastic space as JSON (default: MobileNet blocks for the images' size)")
    .option("--samples <n>", "float sub-nets that the predictor learns from", number({ min: 20, integer: true }), 400)
    .option("--quantized-samples <n>", "sub-nets at bits that it learns from", number({ min: 20, integer: true }), 300)
    .option(
      "--sample-images <n>",
      "validation images that each of both is judged on, at most (default: all)",
      number({ min: 50, integer: true }),
    )
    .option("--tune-steps <n>", "batches each of those is trained on first", number({ min: 0, integer: true }), 20)
    .option("--tune-lr <rate>", "learning rate of that", number({ min: 0 }), 2e-3)
    .option("--no-flip", "augmentation: do not mirror images")
    .option("--resume", "go on with the run in --out, also with more samples")
    .addHelpText(
      "after",
      examples(["joint train --data fashion-mnist --out runs/shoes-supernet", "joint train --data images:photos --size 64 --epochs 80"]),
    )
    .action((flags: TrainFlags) => train(flags, context));
}

async function train(flags: TrainFlags, { argv, signal, protect }: CommandContext): Promise<void> {
  const { json, dryRun, resume, overwrite, ...rest } = flags;
  const config = configOf(argv, "joint train", rest);
  if (dryRun) return printJson(config);
  const [{ loadData }, { imagesFingerprint }, { runJointTrain }, { loadElasticSpace }, { requireFreeFolder }] = await Promise.all([
    import("../data/load.ts"),
    import("../run/fingerprints.ts"),
    import("../run/joint-train-run.ts"),
    import("../space/load.ts"),
    import("../run/replace.ts"),
  ]);
  if (!resume) requireFreeFolder(flags.out, flags);
  const bar = createProgressBar({ isQuiet: json === true });
  const data = await loadData(flags.data, loadOptions(flags, bar.onProgress));
  const space = loadElasticSpace(flags.space, { input: data.train.shape, classes: data.train.classes.length, width: flags.width });
  const { size, limit, validation, splitSeed, seed } = flags;
  const result = await runJointTrain({
    space,
    data,
    source: {
      name: flags.data,
      splitSeed: splitSeed ?? seed,
      validation,
      ...(size === undefined ? {} : { size }),
      ...(limit === undefined ? {} : { limit }),
    },
    dir: flags.out,
    config: { ...config, elasticSpace: space, ...imagesFingerprint(data) },
    epochs: flags.epochs,
    lr: flags.lr,
    batchSize: flags.batch,
    weightDecay: flags.weightDecay,
    augmentation: { crop: 4, flip: flags.flip },
    floatSamples: flags.samples,
    quantizedSamples: flags.quantizedSamples,
    ...(flags.sampleImages === undefined ? {} : { sampleImages: flags.sampleImages }),
    tuneSteps: flags.tuneSteps,
    tuneLr: flags.tuneLr,
    seed,
    ...(resume ? { resume: true } : {}),
    signal,
    onStart: protect,
    onProgress: bar.onProgress,
    onNote: bar.onNote,
  });
  bar.stop();
  if (result.isCancelled) process.exitCode = 4;
  if (json) return printJson(result);
  if (result.isCancelled) return print("interrupted: the same command with --resume goes on");
  showTraining(result, flags.out);
}

function showTraining({ largest, smallest, float, quantized, byRule, transfer }: JointTrainResult, out: string): void {
  const share = (value: number | null) => (value === null ? "-" : formatPercent(value));
  const row = (name: string, { learnt, heldOut, pairwiseAccuracy, kendallTau }: Ranking) => [
    name,
    `${learnt}`,
    `${heldOut}`,
    share(pairwiseAccuracy),
    kendallTau?.toFixed(3) ?? "-",
  ];
  print(`supernet  test accuracy ${formatPercent(largest!)} of the largest, ${formatPercent(smallest!)} of the smallest sub-net\n`);
  print(
    table(
      ["predictor", "learnt from", "held out", "pairs in order", "Kendall's tau"],
      [
        row("float", float!),
        row("with bits", quantized!),
        ["BitOps alone", "-", `${quantized!.heldOut}`, share(byRule!.bitops), "-"],
        ["float, of sub-nets with bits", "-", `${quantized!.heldOut}`, share(byRule!.float), "-"],
      ],
    ),
  );
  print("");
  const rows = transfer.map(({ learnt, withTransfer, without }) => [`${learnt}`, share(withTransfer), share(without)]);
  print(table(["samples with bits", "pairs in order", "without transfer"], rows));
  print(`saved    ${out}: fettle joint search ${out} --device … finds sub-nets`);
}
