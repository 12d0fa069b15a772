/** @file The command line: one verb a file, errors as one line, exit codes by kind of error. */
import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { AppError, EXIT_CODES } from "../errors.ts";
import { systemClock } from "../util/clock.ts";
import { registerBench } from "./bench.ts";
import { registerDevices } from "./devices.ts";
import { registerDoctor } from "./doctor.ts";
import { registerEvaluate } from "./evaluate.ts";
import { registerInspect } from "./inspect.ts";
import { registerJoint } from "./joint.ts";
import { registerNas } from "./nas.ts";
import { registerOptimize } from "./optimize.ts";
import { examples } from "./options.ts";
import { note } from "./output.ts";
import { registerPrune } from "./prune.ts";
import { registerQuantize } from "./quantize.ts";
import { registerReport } from "./report.ts";
import { registerRuns } from "./runs.ts";
import { registerTrain } from "./train.ts";

const USAGE_ERROR = 2;
const INTERRUPTED = 130;

/** Two signals within this time are one Ctrl-C that arrived both from the terminal and through a parent process. */
const SAME_KEY_MS = 300;

/** What commands get besides their flags. */
export interface CommandContext {
  /** Command and flags, as they were given or as `fettle resume` found them. */
  readonly argv: readonly string[];
  /** Aborted at the first Ctrl-C after `protect`; the next one ends the process. */
  readonly signal: AbortSignal;
  /** From now on there is work worth saving: the first Ctrl-C no longer ends the process. */
  protect(): void;
}

function createProgram(context: CommandContext): Command {
  const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };
  const program = new Command("fettle")
    .description(
      "Searches, prunes, quantizes and trains small image classifiers for one device and one budget, and measures what it exports.",
    )
    .version(version)
    .showSuggestionAfterError()
    .option("--debug", "print the stack of errors")
    .exitOverride()
    .addHelpText(
      "after",
      `${examples([
        "optimize --data images:photos --size 64 --max-latency 1ms --time 30m",
        "nas --data fashion-mnist --max-latency 0.3ms --out runs/shoes",
        "prune model.onnx --data images:photos --max-macs 50%",
        "quantize model.onnx --data images:photos --max-size 15%",
        "joint search runs/supernet --device bitfusion --max-latency 0.2ms",
        "train --net resnet-20 --data cifar10:data/cifar-10-batches-bin --epochs 24",
        "inspect mobilenet-v2:0.35 --input 3x224x224",
        "bench runs/shoes/model.onnx",
      ])}\nExit codes: 0 done and every limit met, 1 error, 2 usage, 3 the limit cannot be met, 4 limit missed or interrupted (what there is is saved).`,
    );
  const registrations = [
    registerOptimize,
    registerNas,
    registerPrune,
    registerQuantize,
    registerJoint,
    registerTrain,
    registerEvaluate,
    registerInspect,
    registerBench,
    registerReport,
    registerDevices,
    registerDoctor,
  ];
  for (const register of registrations) register(program, context);
  registerRuns(program, (argv) => createProgram({ ...context, argv }).parseAsync([...argv], { from: "user" }));
  for (const command of program.commands) command.exitOverride();
  return program;
}

/** Shows the cursor and wraps lines again, which a progress bar that an error cut short had switched off. */
const RESTORE_TERMINAL = "\u001b[?25h\u001b[?7h\n";

function report(error: unknown, isDebugging: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_ERROR;
  if (process.stderr.isTTY) process.stderr.write(RESTORE_TERMINAL);
  if (error instanceof AppError) {
    note(`fettle: ${error.message}`);
    if (isDebugging || error.code === "INTERNAL") note(error.stack ?? "");
    return EXIT_CODES[error.code];
  }
  note(`fettle: internal: ${(error as Error).stack ?? error}`);
  return 1;
}

/** Ctrl-C ends the process, or once a command has work worth saving, aborts its signal. */
function listenForInterrupts(): Omit<CommandContext, "argv"> {
  const controller = new AbortController();
  let isProtected = false;
  let abortedMs = Number.NEGATIVE_INFINITY;
  const interrupt = () => {
    const now = systemClock.nowMs();
    if (controller.signal.aborted && now - abortedMs < SAME_KEY_MS) return;
    if (!isProtected || controller.signal.aborted) process.exit(INTERRUPTED);
    abortedMs = now;
    controller.abort();
    note("\nfettle: stopping and saving; press Ctrl-C again to stop at once");
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return {
    signal: controller.signal,
    protect: () => {
      isProtected = true;
    },
  };
}

/** Runs the command line and returns the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  const program = createProgram({ ...listenForInterrupts(), argv });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    return report(error, argv.includes("--debug"));
  }
}

/** Whatever was printed has left the process: a pipe takes long output in pieces. */
const flushed = (stream: NodeJS.WriteStream): Promise<unknown> => new Promise((resolve) => stream.write("", resolve));

if (import.meta.main) {
  const code = await main(process.argv.slice(2));
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}
