/** @file `fettle joint search`: a sub-net for a device and its limits. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import type { JointBudget, JointLimitKind } from "../joint/limits.ts";
import type { JointSearchResult } from "../run/joint-search-run.ts";
import { type Dimension, formatBytes, formatMs, formatPercent, parseQuantity } from "../util/units.ts";
import { configOf } from "./config.ts";
import { constraintRow } from "./constraint.ts";
import { loadSpecialise, type SpecialiseFlags, withSpecialise } from "./joint-specialise.ts";
import type { CommandContext } from "./main.ts";
import { examples } from "./options.ts";
import { note, print, printJson, table } from "./output.ts";
import { recipeOf } from "./train.ts";
import { writeReport } from "./write-report.ts";

interface SearchFlags extends SpecialiseFlags {
  readonly device?: string;
  readonly maxLatency?: string;
  readonly maxEnergy?: string;
  readonly maxSize?: string;
  readonly maxPeakMemory?: string;
  readonly maxMacs?: string;
  readonly maxBitops?: string;
}

const LIMITS = [
  ["maxLatency", "--max-latency", "latency", "latency"],
  ["maxEnergy", "--max-energy", "energy", "energy"],
  ["maxSize", "--max-size", "size", "size"],
  ["maxPeakMemory", "--max-peak-memory", "peakMemory", "size"],
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

export function registerJointSearch(joint: Command, context: CommandContext): void {
  withSpecialise(joint.command("search").description("the best sub-net and bits for a device and its limits"), "runs/joint")
    .option("--device <name>", "bitfusion, bismo-edge, bismo-cloud; cpu or a latency table (FILE.json, FILE.yaml) for float sub-nets")
    .option("--max-latency <time>", "limit per image on the device, e.g. 0.3ms or 40% of the largest sub-net's")
    .option("--max-energy <energy>", "limit per image on a simulated device, e.g. 1mJ or 50%")
    .option("--max-size <bytes>", "limit of the file's size, e.g. 100KB")
    .option("--max-peak-memory <bytes>", "limit of the activations alive at once, as float32, e.g. 100KB")
    .option("--max-macs <count>", "limit in multiply-accumulates, e.g. 5M")
    .option("--max-bitops <count>", "limit in MACs x weight bits x activation bits, e.g. 300M")
    .option("--resume", "go on with the run in --out")
    .addHelpText(
      "after",
      examples([
        "joint search runs/supernet --device bitfusion --max-latency 0.2ms --max-energy 0.3mJ",
        "joint search runs/supernet --device cpu --max-latency 0.2ms --out runs/fast",
      ]),
    )
    .action((supernet: string, flags: SearchFlags) => search(supernet, flags, context));
}

async function search(supernet: string, flags: SearchFlags, context: CommandContext): Promise<void> {
  const budgets = budgetsOf(flags);
  const recipe = recipeOf(flags);
  const { json, dryRun, overwrite, resume, ...rest } = flags;
  const config = configOf(context.argv, "joint search", { supernet, ...rest, budgets, recipe });
  if (dryRun) return printJson(config);
  const [{ runJointSearch }, { openDevice }] = await Promise.all([import("../run/joint-search-run.ts"), import("../hardware/open.ts")]);
  const { common, bar } = await loadSpecialise(supernet, flags, config, recipe, context);
  const onWarning = (message: string) => note(`fettle: ${message}`);
  const device = flags.device ? await openDevice(flags.device, { threads: flags.threads, onWarning, onProgress: bar.onProgress }) : null;
  const result = await runJointSearch({ ...common, device, budgets });
  bar.stop();
  if (result.isCancelled || result.card.constraints.some(({ isMet }) => !isMet)) process.exitCode = 4;
  await writeReport(flags.out);
  if (json) return printJson(result);
  showSearch(result, flags.out);
}

function showSearch({ card, summary, predicted, validation, tuned, searchSeconds }: JointSearchResult, out: string): void {
  print(`found    ${summary}`);
  print(
    `         in ${searchSeconds.toFixed(1)} s: predicted ${formatPercent(Math.min(1, predicted))}, validation ${formatPercent(validation)}${tuned === null ? "" : `, fine-tuned ${formatPercent(tuned)}`}\n`,
  );
  print(table(["limit", "at most", "value", "", "obtained"], card.constraints.map(constraintRow)));
  print(
    `\nmeasured ${formatMs(card.latency.p50Ms)} on this cpu, test accuracy ${formatPercent(card.accuracy.test)}, ${formatBytes(card.fileBytes)}`,
  );
  print(`saved    ${out}/model.onnx, card.json, policy.json, frontier.json, report.html`);
}
