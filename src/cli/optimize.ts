/** @file `fettle optimize`: the whole way, from images or from a model, under all limits at once. */
import { type Command, Option } from "commander";
import type { Naming, OptimizeConfig } from "../pipeline/config.ts";
import type { OptimizeEvent, OptimizeResult } from "../pipeline/optimize.ts";
import { systemClock } from "../util/clock.ts";
import { formatBytes, formatMs, formatPercent } from "../util/units.ts";
import { configOf } from "./config.ts";
import { constraintRow } from "./constraint.ts";
import type { CommandContext } from "./main.ts";
import { count, examples, imageShape, number, numbers, withJson } from "./options.ts";
import { formatDuration, print, printJson, table } from "./output.ts";
import { createProgressBar } from "./progress-bar.ts";

/** Flags that say how to run, not what. */
interface HowFlags {
  readonly config?: string;
  readonly json?: true;
  readonly dryRun?: true;
  readonly overwrite?: true;
  readonly resume?: true;
  readonly debug?: true;
}

const whole = number({ min: 0, integer: true });

/** Defaults are those of the configuration, so that flags override a file only where they are given. */
export function registerOptimize(program: Command, context: CommandContext): void {
  withJson(program.command("optimize").description("from images, or from a model of yours, to a model that meets every limit on a device"))
    .argument("[model]", "ONNX file or run folder; without one a network is searched")
    .option("--data <set>", "labelled images: fashion-mnist, idx:DIR, cifar10:DIR or images:DIR")
    .option("--device <name>", "cpu, bitfusion, bismo-edge, bismo-cloud, or a latency table: FILE.json or FILE.yaml (default: cpu)")
    .option("--max-latency <time>", "limit per image on the device (bismo-cloud: per batch of 16), e.g. 4ms or 50%")
    .option("--max-energy <energy>", "limit per image on a simulated device, e.g. 1mJ or 50%")
    .option("--max-size <bytes>", "limit of the file, e.g. 500KB or 20%")
    .option("--max-peak-memory <bytes>", "limit of the activations alive at once, as float32, e.g. 100KB or 50%")
    .option("--max-macs <count>", "limit in multiply-accumulates, e.g. 20M or 50%")
    .option("--max-bitops <count>", "limit in MACs x weight bits x activation bits, e.g. 300M or 40%")
    .option("--max-accuracy-drop <points>", "test accuracy that a model of yours may lose, e.g. 1%")
    .option("--time <duration>", "for everything, e.g. 30m or 2h (default: as long as it takes)")
    .addOption(
      new Option("--method <name>", "without a model: joint search, or one stage after the other (default: joint)").choices([
        "auto",
        "joint",
        "pipeline",
      ]),
    )
    .option("--out <dir>", "folder of the run (default: runs/optimize)")
    .option("--config <file>", "settings as fettle.config.ts, .json or .yaml; flags override them (default: the one in this folder)")
    .option("--size <pixels>", "side of the square that images of a folder are resized to", count)
    .option("--validation <share>", "share of the training images held out (default: 0.1)", number({ min: 0.001, max: 0.9 }))
    .option("--limit <images>", "use at most this many training images", count)
    .option("--episodes <n>", "policies that each search tries (default: 200, or what --time allows)", count)
    .option("--epochs <n>", "epochs of training what was found (default: 8 to 24, more for few images, or what --time allows)", whole)
    .option("--batch <n>", "images per step (default: 128, fewer for few images)", count)
    .option("--lr <rate>", "highest learning rate (default: 0.2; of a model of yours 0.1 after pruning, 0.02 for bits)", number({ min: 0 }))
    .option("--width <factor>", "widths of the searched space relative to the papers' (default: 0.5)", number({ min: 0.1, max: 4 }))
    .option("--distillation", "train on the original's outputs as well (default; for where the configuration file says no)")
    .option("--no-distillation", "train on the labels alone")
    .option("--baselines", "also what simple rules give within the limits, for comparison")
    .option("--no-baselines", "without them (default; for where the configuration file says yes)")
    .option("--flip", "augmentation: mirror images (default; for where the configuration file says no)")
    .option("--no-flip", "augmentation: do not mirror images")
    .option("--input <CxHxW>", "input where the model's file leaves it open", imageShape)
    .option("--mean <list>", "means that the model's input was normalised with, per channel of 0…1 pixels", numbers)
    .option("--std <list>", "deviations that it was divided by", numbers)
    .option("--seed <n>", "seed of every random choice (default: 0)", whole)
    .option("--split-seed <n>", "seed of the split of the images (default: the model's own, or --seed)", whole)
    .option("--threads <n>", "threads that the exported model is timed with (default: 1)", count)
    .option("--resume", "go on with the run in --out")
    .option("--overwrite", "replace the run that is in --out")
    .option("--dry-run", "print the resolved configuration and stop")
    .addHelpText(
      "after",
      examples([
        "optimize --data images:photos --size 64 --max-latency 1ms --max-size 300KB --time 30m",
        "optimize --data fashion-mnist --device bitfusion --max-energy 0.1mJ",
        "optimize model.onnx --data images:photos --max-latency 50% --max-accuracy-drop 1%",
      ]),
    )
    .action((target: string | undefined, _flags: unknown, command: Command) => run(target, command, context));
}

/** "maxPeakMemory" → "--max-peak-memory". */
const flagOf = (key: string): string => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Flags that were given. */
function givenFlags(command: Command): Record<string, unknown> {
  const flags = command.opts<Record<string, unknown>>();
  return Object.fromEntries(Object.entries(flags).filter(([key]) => command.getOptionValueSource(key) !== "default"));
}

async function run(target: string | undefined, command: Command, { argv, signal, protect }: CommandContext): Promise<void> {
  const { config: file, json, dryRun, overwrite, resume, debug, ...given } = givenFlags(command) as HowFlags & Partial<OptimizeConfig>;
  const [{ loadConfigFile }, { resolveConfig }, { checkConfig }] = await Promise.all([
    import("./config-file.ts"),
    import("../pipeline/config.ts"),
    import("../pipeline/check-config.ts"),
  ]);
  const { path, settings } = await loadConfigFile(file);
  const flags = { ...given, ...(target === undefined ? {} : { model: target }) };
  const isOfFile = (key: string) => key in settings && !(key in flags);
  const naming: Naming = {
    nameOf: (key) => (isOfFile(key) || key === "model" ? key : flagOf(key)),
    whereOf: (key) => (isOfFile(key) ? path! : "optimize"),
  };
  const config = resolveConfig({ ...settings, ...flags }, naming);
  checkConfig(config, naming);
  const begun = configOf(argv, "optimize", config);
  if (dryRun) return printJson(begun);
  const { optimize } = await import("../pipeline/optimize.ts");
  const bar = createProgressBar({ isQuiet: json === true });
  const startedMs = systemClock.nowMs();
  const running = optimize(config, {
    signal,
    resume: resume === true,
    overwrite: overwrite === true,
    naming,
    facts: { argv: begun.argv },
  });
  for await (const event of running) show(event, bar, protect);
  const result = await running.result;
  bar.stop();
  if (result.isCancelled || result.constraints.some(({ isMet }) => !isMet)) process.exitCode = 4;
  const { model, ...told } = result;
  if (json) return printJson(told);
  showResult(result, (systemClock.nowMs() - startedMs) / 1000);
}

function show(event: OptimizeEvent, { onProgress, onNote }: ReturnType<typeof createProgressBar>, protect: () => void): void {
  if (event.type === "stage") protect();
  if (event.type === "progress") onProgress(event);
  else onNote(event.type === "note" ? event.text : `\n${event.name}, in ${event.dir}`);
}

function showResult({ card, constraints, stages, dir, originalTest }: OptimizeResult, seconds: number): void {
  const before = originalTest === null ? "" : ` (${formatPercent(originalTest)} before)`;
  print(table(["limit", "at most", "value", "", "obtained"], constraints.map(constraintRow)));
  print(
    `\n${stages.length === 0 ? "the model meets the limits as it is; " : ""}test accuracy ${formatPercent(card.accuracy.test)}${before}, measured ${formatMs(card.latency.p50Ms)} on this cpu, ${formatBytes(card.fileBytes)}; took ${formatDuration(seconds * 1000)}`,
  );
  print(`saved    ${dir}/model.onnx, card.json,${stages.length > 0 ? " policy.json," : ""} report.html`);
}
