/** @file `fettle joint`: a network trained once, specialised for any device and limits in seconds (Once-for-All, APQ). */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import type { JointBudget, JointLimitKind } from "../joint/limits.ts";
import type { JointSearchResult } from "../run/joint-search-run.ts";
import type { JointTrainResult, Ranking } from "../run/joint-train-run.ts";
import { type Dimension, formatBytes, formatMs, formatPercent, parseQuantity } from "../util/units.ts";
import { constraintRow } from "./constraint.ts";
import type { CommandContext } from "./main.ts";
import { type CommonFlags, count, type DataFlags, examples, loadOptions, number, withData, withRun } from "./options.ts";
import { note, print, printJson, table } from "./output.ts";
import { createProgressBar } from "./progress-bar.ts";
import { type RecipeFlags, recipeOf, withRecipe } from "./train.ts";

interface TrainFlags extends DataFlags, CommonFlags {
  readonly epochs: number;
  readonly lr: number;
  readonly batch: number;
  readonly weightDecay: number;
  readonly width: number;
  readonly space?: string;
  readonly samples: number;
  readonly quantizedSamples: number;
  readonly tuneSteps: number;
  readonly tuneLr: number;
  readonly resume?: true;
  readonly out: string;
}

interface SearchFlags extends CommonFlags, RecipeFlags, Partial<Pick<DataFlags, "data">> {
  readonly device?: string;
  readonly maxLatency?: string;
  readonly maxEnergy?: string;
  readonly maxSize?: string;
  readonly maxMacs?: string;
  readonly maxBitops?: string;
  readonly population: number;
  readonly generations: number;
  readonly distillation: boolean;
  readonly seed: number;
  readonly threads: number;
  readonly out: string;
}

const LIMITS = [
  ["maxLatency", "--max-latency", "latency", "latency"],
  ["maxEnergy", "--max-energy", "energy", "energy"],
  ["maxSize", "--max-size", "size", "size"],
  ["maxMacs", "--max-macs", "macs", "count"],
  ["maxBitops", "--max-bitops", "bitops", "count"],
] as const satisfies readonly (readonly [keyof SearchFlags, string, JointLimitKind, Dimension])[];

function budgetsOf(flags: SearchFlags): JointBudget[] {
  const budgets = LIMITS.flatMap(([key, flag, kind, dimension]) =>
    flags[key] === undefined ? [] : [{ kind, quantity: parseQuantity(flags[key], dimension, flag) }],
  );
  if (budgets.length === 0)
    throw new AppError("CONFIG", `joint search: at least one of ${LIMITS.map(([, flag]) => flag).join(", ")} must be given, got none`);
  return budgets;
}

export function registerJoint(program: Command, context: CommandContext): void {
  const joint = program
    .command("joint")
    .description("search architecture, channels and bits together: train one network once, specialise it for any device in seconds");
  withData(withRun(joint.command("train").description("train the once-for-all network and its accuracy predictors"), "runs/supernet"))
    .option("--epochs <n>", "epochs over all stages", count, 40)
    .option("--lr <rate>", "highest learning rate of the full network", number({ min: 0 }), 0.2)
    .option("--batch <n>", "images per step", count, 128)
    .option("--weight-decay <rate>", "weight decay", number({ min: 0 }), 4e-5)
    .option("--width <factor>", "widths of the default space relative to the papers'", number({ min: 0.1, max: 4 }), 0.5)
    .option("--space <file>", "elastic space as JSON (default: MobileNet blocks for the images' size)")
    .option("--samples <n>", "float sub-nets that the predictor learns from", number({ min: 20, integer: true }), 400)
    .option("--quantized-samples <n>", "sub-nets at bits that it learns from", number({ min: 20, integer: true }), 300)
    .option("--tune-steps <n>", "batches each of those is trained on first", number({ min: 0, integer: true }), 30)
    .option("--tune-lr <rate>", "learning rate of that", number({ min: 0 }), 1e-3)
    .option("--resume", "go on with the run in --out")
    .addHelpText(
      "after",
      examples(["joint train --data fashion-mnist --out runs/shoes-supernet", "joint train --data images:photos --size 64 --epochs 80"]),
    )
    .action((flags: TrainFlags) => train(flags, context));
  withRecipe(
    withRun(joint.command("search").description("the best sub-net and bits for a device and its limits"), "runs/joint"),
    12,
    0,
    0.05,
  )
    .argument("<supernet>", "folder of a trained supernet")
    .option("--data <set>", "its images, if they have moved since it was trained")
    .option("--device <name>", "bitfusion, bismo-edge, bismo-cloud; cpu or a latency table (FILE.json, FILE.yaml) for float sub-nets")
    .option("--max-latency <time>", "limit per image on the device, e.g. 0.3ms or 40% of the largest sub-net's")
    .option("--max-energy <energy>", "limit per image on a simulated device, e.g. 1mJ or 50%")
    .option("--max-size <bytes>", "limit of the file's size, e.g. 100KB")
    .option("--max-macs <count>", "limit in multiply-accumulates, e.g. 5M")
    .option("--max-bitops <count>", "limit in MACs x weight bits x activation bits, e.g. 300M")
    .option("--population <n>", "sub-nets of a generation", number({ min: 4, integer: true }), 100)
    .option("--generations <n>", "generations", count, 500)
    .option("--no-distillation", "fine-tune on the labels alone, not on the largest sub-net's outputs")
    .addHelpText(
      "after",
      examples([
        "joint search runs/supernet --device bitfusion --max-latency 0.2ms --max-energy 0.3mJ",
        "joint search runs/supernet --device cpu --max-latency 0.2ms --out runs/fast",
      ]),
    )
    .action((supernet: string, flags: SearchFlags) => search(supernet, flags, context));
}

async function train(flags: TrainFlags, { signal, protect }: CommandContext): Promise<void> {
  const { json, dryRun, resume, overwrite, ...rest } = flags;
  const config = { command: "joint train", ...rest };
  if (dryRun) return printJson(config);
  const [{ loadData }, { runJointTrain }, { loadElasticSpace }, { claimFolder }] = await Promise.all([
    import("../data/load.ts"),
    import("../run/joint-train-run.ts"),
    import("../space/load.ts"),
    import("../run/resume.ts"),
  ]);
  if (!resume) claimFolder(flags.out, flags);
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
    config,
    epochs: flags.epochs,
    lr: flags.lr,
    batchSize: flags.batch,
    weightDecay: flags.weightDecay,
    augmentation: { crop: 4, flip: true },
    floatSamples: flags.samples,
    quantizedSamples: flags.quantizedSamples,
    tuneSteps: flags.tuneSteps,
    tuneLr: flags.tuneLr,
    seed,
    ...(resume ? { resume: true } : {}),
    signal,
    onStart: protect,
    onProgress: bar.onProgress,
    onNote: (text) => {
      if (!json) note(text);
    },
  });
  bar.stop();
  if (result.isCancelled) process.exitCode = 4;
  if (json) return printJson(result);
  if (result.isCancelled) return print("interrupted: the same command with --resume goes on");
  showTraining(result, flags.out);
}

function showTraining({ largest, smallest, float, quantized, transfer }: JointTrainResult, out: string): void {
  const row = (name: string, { learnt, heldOut, pairwiseAccuracy, kendallTau }: Ranking) => [
    name,
    `${learnt}`,
    `${heldOut}`,
    formatPercent(pairwiseAccuracy),
    kendallTau.toFixed(3),
  ];
  print(`supernet  test accuracy ${formatPercent(largest!)} of the largest, ${formatPercent(smallest!)} of the smallest sub-net\n`);
  print(
    table(
      ["predictor", "learnt from", "asked about", "pairs in order", "Kendall's tau"],
      [row("float", float!), row("with bits", quantized!)],
    ),
  );
  print("");
  const rows = transfer.map(({ learnt, withTransfer, without }) => [`${learnt}`, formatPercent(withTransfer), formatPercent(without)]);
  print(table(["samples with bits", "pairs in order", "without transfer"], rows));
  print(`saved    ${out}: fettle joint search ${out} --device … finds sub-nets`);
}

async function search(supernet: string, flags: SearchFlags, { signal, protect }: CommandContext): Promise<void> {
  const budgets = budgetsOf(flags);
  const recipe = recipeOf(flags);
  const { json, dryRun, overwrite, ...rest } = flags;
  const config = { command: "joint search", supernet, ...rest, budgets, recipe };
  if (dryRun) return printJson(config);
  const [{ loadData }, { runJointSearch }, { readJointDescription }, { openDevice }, { claimFolder }] = await Promise.all([
    import("../data/load.ts"),
    import("../run/joint-search-run.ts"),
    import("../run/joint-folder.ts"),
    import("../hardware/open.ts"),
    import("../run/resume.ts"),
  ]);
  const { data: source, normalisation } = readJointDescription(supernet);
  claimFolder(flags.out, flags);
  const bar = createProgressBar({ isQuiet: json === true });
  const device = flags.device
    ? await openDevice(flags.device, {
        threads: flags.threads,
        onWarning: (message) => note(`fettle: ${message}`),
        onProgress: bar.onProgress,
      })
    : null;
  const { name, splitSeed, validation, size, limit } = source;
  const loaded = await loadData(
    flags.data ?? name,
    loadOptions(
      { data: name, seed: splitSeed, splitSeed, validation, ...(size ? { size } : {}), ...(limit ? { limit } : {}) },
      bar.onProgress,
    ),
  );
  const result = await runJointSearch({
    supernetDir: supernet,
    dir: flags.out,
    config,
    device,
    budgets,
    population: flags.population,
    generations: flags.generations,
    threads: flags.threads,
    data: { ...loaded, normalisation },
    recipe,
    distillation: flags.distillation,
    signal,
    onStart: protect,
    onProgress: bar.onProgress,
    onNote: (text) => {
      if (!json) note(text);
    },
  });
  bar.stop();
  if (result.isCancelled || result.card.constraints.some(({ isMet }) => !isMet)) process.exitCode = 4;
  if (json) return printJson(result);
  showSearch(result, flags.out);
}

function showSearch({ card, summary, predicted, validation, tuned, searchSeconds }: JointSearchResult, out: string): void {
  print(`found    ${summary}`);
  print(
    `         in ${searchSeconds.toFixed(1)} s: predicted ${formatPercent(predicted)}, validation ${formatPercent(validation)}${tuned === null ? "" : `, fine-tuned ${formatPercent(tuned)}`}\n`,
  );
  print(table(["limit", "at most", "value", "", "obtained"], card.constraints.map(constraintRow)));
  print(
    `\nmeasured ${formatMs(card.latency.p50Ms)} on this cpu, test accuracy ${formatPercent(card.accuracy.test)}, ${formatBytes(card.fileBytes)}`,
  );
  print(`saved    ${out}/model.onnx, card.json, policy.json, frontier.json`);
}
