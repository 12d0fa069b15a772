/** @file `fettle nas`: searches an architecture within a budget, trains it and exports it. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { type CostLossName, LOSS_DEFAULTS } from "../nas/losses.ts";
import type { SearchMode } from "../nas/search-options.ts";
import { formatBytes, formatMs, formatPercent, parseQuantity } from "../util/units.ts";
import { configOf } from "./config.ts";
import type { CommandContext } from "./main.ts";
import { type CommonFlags, choice, count, type DataFlags, examples, loadOptions, number, withData, withRun } from "./options.ts";
import { note, print, printJson } from "./output.ts";
import { createProgressBar } from "./progress-bar.ts";
import { type RecipeFlags, recipeOf, withRecipe } from "./train.ts";
import { writeReport } from "./write-report.ts";

interface NasFlags extends DataFlags, CommonFlags, RecipeFlags {
  readonly seed: number;
  readonly maxLatency?: string;
  readonly maxMacs?: string;
  readonly device: string;
  readonly width: number;
  readonly space?: string;
  readonly mode: SearchMode;
  readonly loss: CostLossName;
  readonly lambda?: number;
  readonly warmupEpochs: number;
  readonly searchEpochs: number;
  readonly searchLr: number;
  readonly architectureLr: number;
  readonly weightSteps: number;
  readonly candidates: number;
  readonly out: string;
  readonly threads: number;
  readonly resume?: true;
}

export function registerNas(program: Command, context: CommandContext): void {
  const command = program
    .command("nas")
    .description("search an architecture for a device and a budget (ProxylessNAS), train and export it");
  withRecipe(withData(withRun(command, "runs/nas")), 24)
    .option("--max-latency <time>", "limit per image on the device, e.g. 0.3ms or 60% of the space's largest network")
    .option("--max-macs <count>", "limit in multiply-accumulates instead, e.g. 6M or 60%")
    .option("--device <name>", "cpu, bitfusion, bismo-edge, bismo-cloud, or a latency table: FILE.json or FILE.yaml", "cpu")
    .option("--space <file>", "search space as JSON (default: MobileNet blocks for the images' size)")
    .option("--width <factor>", "widths of the default space relative to the paper's", number({ min: 0.1, max: 4 }), 0.5)
    .addOption(choice("--mode <name>", "how architecture parameters learn", ["two", "full", "reinforce"], "two"))
    .addOption(choice("--loss <name>", "how cost enters the loss", ["constraint", "add_linear", "mul_log", "lambda_E"], "constraint"))
    .option("--lambda <weight>", "weight of the cost (constraint: the first; not for mul_log)", number({ min: 0 }))
    .option("--warmup-epochs <n>", "epochs of the search that train weights alone", number({ min: 0, integer: true }), 4)
    .option("--search-epochs <n>", "epochs that train weights and architecture", number({ min: 2, integer: true }), 12)
    .option("--search-lr <rate>", "learning rate of the supernet's weights", number({ min: 0 }), 0.1)
    .option("--architecture-lr <rate>", "learning rate of the architecture", number({ min: 0 }), 0.02)
    .option("--weight-steps <n>", "weight steps for each architecture step", count, 2)
    .option(
      "--candidates <n>",
      "networks drawn at the end and compared on validation images, 0: the most probable is taken",
      number({ min: 0, integer: true }),
      64,
    )
    .option("--resume", "go on with the run in --out")
    .addHelpText(
      "after",
      examples([
        "nas --data fashion-mnist --max-latency 0.15ms --out runs/shoes",
        "nas --data images:photos --size 64 --max-macs 20M --epochs 40",
        "nas --data cifar10:cifar --max-latency 50% --mode reinforce",
      ]),
    )
    .action((flags: NasFlags) => nas(flags, context));
}

function budgetOf({ maxLatency, maxMacs }: NasFlags) {
  if ((maxLatency === undefined) === (maxMacs === undefined)) {
    throw new AppError(
      "CONFIG",
      `nas: one of --max-latency and --max-macs must be given, got ${maxLatency === undefined ? "none" : "both"}`,
    );
  }
  return maxLatency !== undefined
    ? ({ kind: "latency", quantity: parseQuantity(maxLatency, "latency", "--max-latency") } as const)
    : ({ kind: "macs", quantity: parseQuantity(maxMacs!, "count", "--max-macs") } as const);
}

async function nas(flags: NasFlags, { argv, signal, protect }: CommandContext): Promise<void> {
  if (flags.loss === "mul_log" && flags.lambda !== undefined)
    throw new AppError(
      "CONFIG",
      `nas: --lambda must be left out with --loss mul_log, which has fixed weights of its own (a = ${LOSS_DEFAULTS.alpha}, b = ${LOSS_DEFAULTS.beta}), got ${flags.lambda}`,
    );
  const budget = budgetOf(flags);
  const recipe = recipeOf(flags);
  const { json, dryRun, resume, debug, ...rest } = flags as NasFlags & { debug?: unknown };
  const config = configOf(argv, "nas", { ...rest, budget, recipe });
  if (dryRun) return printJson(config);
  const { requireFreeFolder } = await import("../run/replace.ts");
  if (!resume) requireFreeFolder(flags.out, flags);
  const [{ loadData }, { imagesFingerprint }, { runNas }, { openDevice }, { loadSpace }] = await Promise.all([
    import("../data/load.ts"),
    import("../run/fingerprints.ts"),
    import("../run/nas-pipeline.ts"),
    import("../hardware/open.ts"),
    import("../space/load.ts"),
  ]);
  const bar = createProgressBar({ isQuiet: json === true });
  const device = await openDevice(flags.device, {
    threads: flags.threads,
    onWarning: (message) => note(`fettle: ${message}`),
    onProgress: bar.onProgress,
  });
  const data = await loadData(flags.data, loadOptions(flags, bar.onProgress));
  const space = loadSpace(flags.space, { input: data.train.shape, classes: data.train.classes.length, width: flags.width });
  const result = await runNas({
    data,
    space,
    device,
    budget,
    recipe,
    dir: flags.out,
    config: { ...config, ...imagesFingerprint(data) },
    search: {
      mode: flags.mode,
      loss: { name: flags.loss, ...(flags.lambda === undefined ? {} : { lambda: flags.lambda }) },
      warmupEpochs: flags.warmupEpochs,
      searchEpochs: flags.searchEpochs,
      batchSize: flags.batch,
      lr: flags.searchLr,
      architectureLr: flags.architectureLr,
      weightStepsPerArchitectureStep: flags.weightSteps,
      candidates: flags.candidates,
      augmentation: recipe.augmentation,
      seed: flags.seed,
    },
    threads: flags.threads,
    ...(resume ? { resume: true } : {}),
    signal,
    onSearchStart: protect,
    onProgress: bar.onProgress,
    onNote: bar.onNote,
  });
  bar.stop();
  if (!result.isMet || result.isCancelled) process.exitCode = 4;
  await writeReport(flags.out);
  if (json) return printJson(result);
  const { card } = result;
  print(`found    ${result.summary}`);
  print(`limit    ${result.limitText} on ${device.name}, ${result.isMet ? "met" : "MISSED"}: ${result.valueText} (${result.obtained})`);
  print(
    `measured ${formatMs(card.latency.p50Ms)} on cpu, test accuracy ${formatPercent(card.accuracy.test)}, ${formatBytes(card.fileBytes)}`,
  );
  print(`saved    ${flags.out}/model.onnx, card.json, policy.json, report.html`);
}
