/** @file `fettle prune`: fewer channels for an ONNX model or a run, found by reinforcement learning (AMC). */
import { type Command, Option } from "commander";
import { AppError } from "../errors.ts";
import type { Model } from "../graph/types.ts";
import type { RewardName } from "../prune/reward.ts";
import type { PruneResult } from "../run/prune-run.ts";
import type { SparseResult } from "../run/sparse-run.ts";
import { formatBytes, formatCount, formatMs, formatPercent, parseQuantity } from "../util/units.ts";
import { type CompressionFlags, loadCompression, withCompression } from "./compression.ts";
import { showConstraint } from "./constraint.ts";
import type { CommandContext } from "./main.ts";
import { examples, ratio } from "./options.ts";
import { note, print, printJson, table } from "./output.ts";
import { recipeOf } from "./train.ts";
import { writeReport } from "./write-report.ts";

interface PruneFlags extends Omit<CompressionFlags, "data"> {
  readonly data?: string;
  readonly listGroups?: true;
  readonly maxMacs?: string;
  readonly maxParams?: string;
  readonly maxSize?: string;
  readonly maxPeakMemory?: string;
  readonly maxLatency?: string;
  readonly maxEnergy?: string;
  readonly reward?: RewardName;
  readonly channelStep: string;
  readonly lowest: number;
  readonly device: string;
  readonly fineGrained?: true;
}

export function registerPrune(program: Command, context: CommandContext): void {
  const command = program
    .command("prune")
    .description("remove channels of a trained model within a budget (AMC), fine-tune and export it")
    .argument("<model>", "ONNX file or run folder");
  withCompression(command, { folder: "runs/prune", epochs: 12, episodes: 400, warmup: 100, lr: 0.1 })
    .option("--list-groups", "print which channels stand and fall together, and stop")
    .option("--max-macs <count>", "limit in multiply-accumulates, e.g. 20M or 50% of the model's")
    .option("--max-params <count>", "limit in parameters, e.g. 100K or 40%")
    .option("--max-size <bytes>", "limit of the file's size, e.g. 500KB or 40%")
    .option("--max-peak-memory <bytes>", "limit of the activations alive at once, as float32, e.g. 100KB or 50%")
    .option("--max-latency <time>", "limit per image on the device, e.g. 0.3ms or 50%")
    .option("--max-energy <energy>", "limit per image on a simulated device, e.g. 1mJ or 50%")
    .addOption(
      new Option("--reward <name>", "without a limit: weigh the error against log MACs or log parameters").choices(["flops", "params"]),
    )
    .option("--channel-step <n>", "channels come in multiples of this; device: of the device's own step", "device")
    .option("--lowest <share>", "share of a group's channels that always stays", ratio, 0.2)
    .option("--device <name>", "cpu, bitfusion, bismo-edge, bismo-cloud, or a latency table: FILE.json or FILE.yaml", "cpu")
    .option("--fine-grained", "set single weights to zero, in rounds, until the file has --max-size; channels stay")
    .addHelpText(
      "after",
      examples([
        "prune model.onnx --list-groups",
        "prune model.onnx --data images:photos --max-macs 50% --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        "prune runs/resnet --data cifar10:cifar --max-latency 60% --baselines --out runs/pruned",
      ]),
    )
    .action((target: string, flags: PruneFlags) => prune(target, flags, context));
  // --list-groups needs no data.
  command.options.find(({ long }) => long === "--data")!.mandatory = false;
}

const LIMITS = [
  ["maxMacs", "--max-macs", "macs", "count"],
  ["maxParams", "--max-params", "params", "count"],
  ["maxSize", "--max-size", "size", "size"],
  ["maxPeakMemory", "--max-peak-memory", "peakMemory", "size"],
  ["maxLatency", "--max-latency", "latency", "latency"],
  ["maxEnergy", "--max-energy", "energy", "energy"],
] as const;

function budgetsOf(flags: PruneFlags) {
  const given = LIMITS.filter(([key]) => flags[key] !== undefined);
  const names = LIMITS.map(([, flag]) => flag).join(", ");
  if ((given.length === 0) === (flags.reward === undefined)) {
    const got = given.length === 0 ? "none" : `${given.map(([, flag]) => flag).join(", ")} and --reward`;
    throw new AppError("CONFIG", `prune: limits (${names}) or --reward must be given, got ${got}`);
  }
  if (flags.fineGrained && given.map(([, , kind]) => kind).join() !== "size")
    throw new AppError(
      "CONFIG",
      `prune: --fine-grained must have --max-size alone, got ${given.map(([, flag]) => flag).join(", ") || "--reward"}`,
    );
  return given.map(([key, flag, kind, dimension]) => ({ kind, quantity: parseQuantity(flags[key]!, dimension, flag) }));
}

function stepOf(text: string): number | "device" {
  if (text === "device") return text;
  const step = Number(text);
  if (!Number.isInteger(step) || step < 1)
    throw new AppError("CONFIG", `prune: --channel-step must be a whole number from 1, or device, got "${text}"`);
  return step;
}

async function listGroups(model: Model, json: boolean): Promise<void> {
  const { channelGroups } = await import("../prune/groups.ts");
  const groups = channelGroups(model.graph).map(({ atoms, ...group }) => ({ ...group, channels: atoms.length }));
  if (json) return printJson(groups);
  const list = (names: readonly string[]) =>
    names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
  print(
    table(
      ["channels", "made by", "read by", "kept whole because"],
      groups.map(({ channels, producers, consumers, reason }) => [`${channels}`, list(producers), list(consumers), reason ?? ""]),
    ),
  );
}

async function prune(target: string, flags: PruneFlags, context: CommandContext): Promise<void> {
  if (flags.listGroups) {
    const { openModel } = await import("../run/model-file.ts");
    return listGroups((await openModel(target, flags.input)).model, flags.json === true);
  }
  const { data } = flags;
  if (!data) throw new AppError("CONFIG", "prune: --data must be given, got none");
  const budgets = budgetsOf(flags);
  const step = stepOf(flags.channelStep);
  const opened = await loadCompression("prune", target, { ...flags, data }, context, { budgets, recipe: recipeOf(flags) });
  if (!opened) return;
  const { common, bar } = opened;
  const [{ openDevice }, { runPrune }, { runSparsePrune }] = await Promise.all([
    import("../hardware/open.ts"),
    import("../run/prune-run.ts"),
    import("../run/sparse-run.ts"),
  ]);
  const device = await openDevice(flags.device, {
    threads: flags.threads,
    onWarning: (message) => note(`fettle: ${message}`),
    onProgress: bar.onProgress,
  });
  const result = flags.fineGrained
    ? await runSparsePrune({ ...common, size: budgets[0]!.quantity })
    : await runPrune({
        ...common,
        device,
        budgets,
        reward: flags.reward ?? "accuracy",
        step,
        lowest: flags.lowest,
        baselines: flags.baselines === true,
      });
  bar.stop();
  if (result.isCancelled || result.card.constraints.some(({ isMet }) => !isMet)) process.exitCode = 4;
  await writeReport(flags.out);
  if (flags.json) return printJson(result);
  if ("rounds" in result) showSparse(result);
  else showChannels(result);
  print(`saved    ${flags.out}/model.onnx, card.json, policy.json, report.html (${formatBytes(result.card.fileBytes)})`);
}

function showSparse({ card, original, rounds, constraint }: SparseResult): void {
  const rows = rounds.map(({ density, pruned, uniform, tuned }) => [density, pruned, uniform, tuned].map(formatPercent));
  print(table(["density", "validation", "all layers alike", "fine-tuned"], rows));
  showConstraint(constraint);
  print(`test accuracy ${formatPercent(card.accuracy.test)}, the original ${formatPercent(original.test)}`);
}

function showChannels({ card, original, policies, chosen, constraints, latencyMs }: PruneResult): void {
  const rows = policies.map(({ name, macs, params, validation, test, tuned }) => [
    name,
    formatCount(macs),
    formatCount(params),
    formatPercent(validation),
    formatPercent(test),
    tuned === null ? "-" : formatPercent(tuned.validation),
    tuned === null ? "-" : formatPercent(tuned.test),
  ]);
  const whole = [
    "original",
    formatCount(original.macs),
    formatCount(original.params),
    formatPercent(original.validation),
    formatPercent(original.test),
    "-",
    "-",
  ];
  print(table(["policy", "MACs", "parameters", "validation", "test", "tuned: validation", "tuned: test"], [whole, ...rows]));
  if (chosen !== "amc") print(`\nkept     ${chosen}: the best on validation images after fine-tuning`);
  for (const constraint of constraints) showConstraint(constraint);
  print(
    `measured ${formatMs(latencyMs.pruned)} on cpu, the original ${formatMs(latencyMs.original)}; test accuracy ${formatPercent(card.accuracy.test)}`,
  );
  if (latencyMs.pruned > latencyMs.original) print("         the pruned model is SLOWER than the original on this cpu");
}
