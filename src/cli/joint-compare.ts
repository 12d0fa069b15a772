/** @file `fettle joint compare`: what the joint search gains over one stage after the other, fixed bits, and chance. */
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { formatCost } from "../run/limit-kinds.ts";
import { formatBytes, formatCount, formatPercent, parseQuantity } from "../util/units.ts";
import { configOf } from "./config.ts";
import { loadSpecialise, type SpecialiseFlags, withSpecialise } from "./joint-specialise.ts";
import type { CommandContext } from "./main.ts";
import { choice, count, examples } from "./options.ts";
import { formatDuration, print, printJson, table } from "./output.ts";
import { recipeOf } from "./train.ts";

interface CompareFlags extends SpecialiseFlags {
  readonly device: string;
  readonly maxLatency?: string;
  readonly maxEnergy?: string;
  readonly episodes: number;
}

export function registerJointCompare(joint: Command, context: CommandContext): void {
  withSpecialise(
    joint.command("compare").description("one limit met jointly, in stages, with fixed bits and at random, all trained alike"),
    "runs/compare",
  )
    .addOption(choice("--device <name>", "simulated accelerator", ["bitfusion", "bismo-edge", "bismo-cloud"], "bitfusion"))
    .option("--max-latency <time>", "limit per image on the device, e.g. 0.3ms or 40% of the largest sub-net's")
    .option("--max-energy <energy>", "limit per image instead, e.g. 1mJ or 50%")
    .option("--resume", "go on with the comparison in --out")
    .option("--episodes <n>", "policies that pruning and quantisation try, in the sequential route", count, 100)
    .addHelpText(
      "after",
      examples(["joint compare runs/supernet --max-latency 30%", "joint compare runs/supernet --max-energy 40% --epochs 6"]),
    )
    .action((supernet: string, flags: CompareFlags) => compare(supernet, flags, context));
}

function budgetOf({ maxLatency, maxEnergy }: CompareFlags) {
  if ((maxLatency === undefined) === (maxEnergy === undefined))
    throw new AppError(
      "CONFIG",
      `joint compare: one of --max-latency and --max-energy must be given, got ${maxLatency === undefined ? "none" : "both"}`,
    );
  return maxLatency !== undefined
    ? ({ kind: "latency", quantity: parseQuantity(maxLatency, "latency", "--max-latency") } as const)
    : ({ kind: "energy", quantity: parseQuantity(maxEnergy!, "energy", "--max-energy") } as const);
}

async function compare(supernet: string, flags: CompareFlags, context: CommandContext): Promise<void> {
  const budget = budgetOf(flags);
  const recipe = recipeOf(flags);
  const { json, dryRun, overwrite, resume, ...rest } = flags;
  const config = configOf(context.argv, "joint compare", { supernet, ...rest, budget, recipe });
  if (dryRun) return printJson(config);
  const [{ runJointCompare }, { ACCELERATORS }] = await Promise.all([import("../run/joint-compare-run.ts"), import("../hardware/open.ts")]);
  const { common, bar } = await loadSpecialise(supernet, flags, config, recipe, context);
  const device = ACCELERATORS[flags.device]!();
  const { limit, routes, isCancelled } = await runJointCompare({
    ...common,
    device,
    budget,
    episodes: flags.episodes,
    ...(overwrite ? { overwrite: true } : {}),
  });
  bar.stop();
  if (isCancelled || routes.some(({ isMet }) => isMet === false)) process.exitCode = 4;
  else if (routes.every(({ isMet }) => isMet === null)) process.exitCode = 3;
  if (json) return printJson({ limit, routes, isCancelled });
  const rows = routes.map(({ name, cost, isMet, test, bitOps, fileBytes, seconds }) => [
    name,
    cost === null ? "cannot" : `${formatCost(budget.kind, cost)}${isMet ? "" : " MISSED"}`,
    test === null ? "-" : formatPercent(test),
    bitOps === null ? "-" : formatCount(bitOps),
    fileBytes === null ? "-" : formatBytes(fileBytes),
    formatDuration(1000 * seconds),
  ]);
  print(
    `limit ${budget.kind} ${formatCost(budget.kind, limit)} on ${device.name} (estimated), ${recipe.epochs} epochs of fine-tuning each\n`,
  );
  print(table(["route", budget.kind, "test accuracy", "BitOps", "file", "time"], rows));
  print(isCancelled ? "interrupted: the same command with --resume goes on" : `saved    ${flags.out}/compare.json`);
}
