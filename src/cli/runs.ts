/** @file `fettle runs`, `fettle compare`, `fettle resume`: what was run, side by side, and on from where it stopped. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { AppError } from "../errors.ts";
import { formatCost, nameCost } from "../run/limit-kinds.ts";
import type { RunSummary } from "../run/list.ts";
import { formatBytes, formatCount, formatMs, formatPercent } from "../util/units.ts";
import { examples, withJson } from "./options.ts";
import { print, printJson, table } from "./output.ts";

const limitsOf = ({ card }: RunSummary): string =>
  (card?.constraints ?? [])
    .map(({ name, limit, value, isMet }) => `${nameCost(name, value)} of ${formatCost(name, limit)}${isMet ? "" : " MISSED"}`)
    .join(", ");

const when = (time: string): string => time.slice(0, 16).replace("T", " ");

function showRuns(runs: readonly RunSummary[]): void {
  const rows = runs.map((run) => [
    run.dir,
    run.command,
    when(run.begun),
    run.isRunning ? "running" : run.isFinished ? "finished" : "unfinished",
    run.card ? formatPercent(run.card.accuracy.test) : "",
    limitsOf(run),
  ]);
  print(table(["run", "command", "begun (UTC)", "", "test accuracy", "limits"], rows));
}

const FACTS = [
  ["command", ({ command }) => command],
  ["images", ({ data }) => data],
  ["network", ({ card }) => card?.network ?? ""],
  ["test accuracy", ({ card }) => (card ? formatPercent(card.accuracy.test) : "")],
  ["latency on cpu", ({ card }) => (card ? formatMs(card.latency.p50Ms) : "")],
  ["file", ({ card }) => (card ? formatBytes(card.fileBytes) : "")],
  ["MACs", ({ card }) => (card ? formatCount(card.macs) : "")],
  ["parameters", ({ card }) => (card ? formatCount(card.params) : "")],
  ["BitOps", ({ card }) => (card?.bitOps === undefined ? "" : formatCount(card.bitOps))],
  ["limits", limitsOf],
] as const satisfies readonly (readonly [string, (run: RunSummary) => string])[];

function showComparison(runs: readonly RunSummary[]): void {
  const rows = FACTS.map(([name, of]) => [name, ...runs.map(of)]).filter(([, ...values]) => values.some((value) => value !== ""));
  print(table(["", ...runs.map(({ dir }) => dir)], rows));
}

/** The command line that goes on with a run. @throws AppError CONFIG when it cannot be gone on with from here */
function resumption({ dir, argv }: RunSummary): string[] {
  if (argv.length === 0) throw new AppError("CONFIG", `resume: ${dir} must have been begun by this program, got a run of the library`);
  const out = argv.indexOf("--out");
  const inline = argv.find((word) => word.startsWith("--out="))?.slice("--out=".length);
  const written = out >= 0 ? argv[out + 1] : inline;
  if (written !== undefined && resolve(written) !== resolve(dir))
    throw new AppError(
      "CONFIG",
      `resume: must be called from the folder where ${dir} was begun, since its paths are relative, got another`,
    );
  return [...argv, ...(written === undefined ? ["--out", dir] : []), "--resume"];
}

/** @param run what a command line does */
export function registerRuns(program: Command, run: (argv: readonly string[]) => Promise<unknown>): void {
  withJson(program.command("runs").description("list runs: what they were, how far they are, what came of them"))
    .argument("[folder]", "where to look", "runs")
    .addHelpText("after", examples(["runs", "runs experiments --json"]))
    .action(async (folder: string, flags: { readonly json?: true }) => {
      const { listRuns } = await import("../run/list.ts");
      const runs = listRuns(folder);
      if (flags.json) return printJson(runs);
      if (runs.length === 0) return print(`no runs in ${folder}`);
      showRuns(runs);
    });
  withJson(program.command("compare").description("runs side by side"))
    .argument("<run...>", "run folders")
    .addHelpText("after", examples(["compare runs/prune runs/quantize"]))
    .action(async (dirs: string[], flags: { readonly json?: true }) => {
      const { summariseRun } = await import("../run/list.ts");
      const runs = dirs.map(summariseRun);
      if (flags.json) return printJson(runs);
      showComparison(runs);
    });
  withJson(program.command("resume").description("go on with an interrupted run, as it was begun"))
    .argument("<run>", "run folder")
    .addHelpText("after", examples(["resume runs/prune"]))
    .action(async (dir: string, flags: { readonly json?: true }) => {
      const { summariseRun } = await import("../run/list.ts");
      const again = resumption(summariseRun(dir));
      await run(flags.json && !again.includes("--json") ? [...again, "--json"] : again);
    });
}
