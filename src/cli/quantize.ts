/** @file `fettle quantize`: bits for every layer of an ONNX model or a run, found by reinforcement learning (HAQ). */
import { join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { AppError } from "../errors.ts";
import type { CalibrationMethod } from "../quantize/thresholds.ts";
import type { WeightScheme } from "../quantize/weights.ts";
import { formatCost } from "../run/limit-kinds.ts";
import type { QuantizeBudgetKind } from "../run/quantize-limits.ts";
import type { QuantizeResult } from "../run/quantize-run.ts";
import { writeFileAtomic } from "../util/files.ts";
import { formatBytes, formatMs, formatPercent, parseQuantity } from "../util/units.ts";
import { type CompressionFlags, loadCompression, withCompression } from "./compression.ts";
import { showConstraint } from "./constraint.ts";
import type { CommandContext } from "./main.ts";
import { examples, number } from "./options.ts";
import { note, print, printJson, table } from "./output.ts";
import { recipeOf } from "./train.ts";
import { writeReport } from "./write-report.ts";

interface QuantizeFlags extends CompressionFlags {
  readonly maxLatency?: string;
  readonly maxEnergy?: string;
  readonly maxSize?: string;
  readonly maxBitops?: string;
  readonly bits: { lowest: number; highest: number };
  readonly quantizer?: WeightScheme;
  readonly calibration: CalibrationMethod;
  readonly tuneSteps: number;
  readonly tuneLr: number;
  readonly device?: string;
}

/** "2..8" or "4". */
function bitRange(text: string): { lowest: number; highest: number } {
  const match = /^([1-8])(?:\.\.([1-8]))?$/.exec(text);
  const [lowest, highest] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
  if (!match || lowest > highest) throw new InvalidArgumentError("must be bits from 1 to 8, for example 2..8 or 4.");
  return { lowest, highest };
}

export function registerQuantize(program: Command, context: CommandContext): void {
  const command = program
    .command("quantize")
    .description("choose bits for every layer of a trained model within a budget (HAQ), fine-tune and export it")
    .argument("<model>", "ONNX file or run folder");
  withCompression(command, { folder: "runs/quantize", epochs: 8, episodes: 200, warmup: 20, lr: 0.02 })
    .option(
      "--max-latency <time>",
      "limit per image on --device (bismo-cloud: per batch of 16), e.g. 2ms or 60% (of 8 bits; on cpu of float)",
    )
    .option("--max-energy <energy>", "limit per image on --device, e.g. 1mJ or 60% (of 8 bits)")
    .option("--max-size <bytes>", "limit of the file, e.g. 200KB or 15% (of the float file)")
    .option("--max-bitops <count>", "limit of MACs x weight bits x activation bits, e.g. 2G or 40% (of 8 bits)")
    .option("--device <name>", "bitfusion, bismo-edge, bismo-cloud or cpu (see `fettle devices`)")
    .addOption(new Option("--bits <range>", "bits to choose from").argParser(bitRange).default({ lowest: 2, highest: 8 }, "2..8"))
    .addOption(
      new Option("--quantizer <name>", "weights in even steps, or few shared values (default: kmeans for --max-size, else linear)").choices(
        ["linear", "kmeans"],
      ),
    )
    .addOption(new Option("--calibration <method>", "where values are clipped").choices(["mse", "kl", "max", "percentile"]).default("mse"))
    .option("--tune-steps <n>", "batches that each policy is trained on before it is judged", number({ min: 0, integer: true }), 20)
    .option("--tune-lr <rate>", "learning rate of that", number({ min: 0 }), 0.002)
    .addHelpText(
      "after",
      examples([
        "quantize runs/shoes --data fashion-mnist --device bitfusion --max-latency 60%",
        "quantize model.onnx --data images:photos --max-size 15% --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
        "quantize runs/shoes --data fashion-mnist --device cpu --max-latency 90% --baselines",
      ]),
    )
    .action((target: string, flags: QuantizeFlags) => quantize(target, flags, context));
}

const LIMITS = [
  ["maxLatency", "--max-latency", "latency", "latency"],
  ["maxEnergy", "--max-energy", "energy", "energy"],
  ["maxSize", "--max-size", "size", "size"],
  ["maxBitops", "--max-bitops", "bitops", "count"],
] as const satisfies readonly (readonly [keyof QuantizeFlags, string, QuantizeBudgetKind, string])[];

function budgetsOf(flags: QuantizeFlags) {
  const given = LIMITS.filter(([key]) => flags[key] !== undefined);
  if (given.length === 0)
    throw new AppError("CONFIG", `quantize: at least one of ${LIMITS.map(([, flag]) => flag).join(", ")} must be given, got none`);
  return given.map(([key, flag, kind, dimension]) => ({ kind, quantity: parseQuantity(flags[key]!, dimension, flag) }));
}

async function quantize(target: string, flags: QuantizeFlags, context: CommandContext): Promise<void> {
  const budgets = budgetsOf(flags);
  const kinds = budgets.map(({ kind }) => kind).join(", ");
  const scheme: WeightScheme = flags.quantizer ?? (kinds === "size" ? "kmeans" : "linear");
  if (scheme === "kmeans" && kinds !== "size")
    throw new AppError(
      "CONFIG",
      `quantize: --quantizer kmeans must go with --max-size alone, since shared values are not computed with, got ${kinds}`,
    );
  if (kinds === "size" && flags.device)
    throw new AppError(
      "CONFIG",
      `quantize: --max-size alone must be given without --device, since a file has one size everywhere, got ${flags.device}`,
    );
  const [{ openQuantizedDevice }, { runQuantize }] = await Promise.all([import("../hardware/open.ts"), import("../run/quantize-run.ts")]);
  const device = flags.device
    ? await openQuantizedDevice(flags.device, { threads: flags.threads, onWarning: (message) => note(`fettle: ${message}`) })
    : null;
  const opened = await loadCompression("quantize", target, flags, context, { budgets, scheme, recipe: recipeOf(flags) });
  if (!opened) return;
  const { common, bar } = opened;
  const result = await runQuantize({
    ...common,
    device,
    budgets,
    bits: flags.bits,
    scheme,
    calibration: flags.calibration,
    shortTune: { steps: flags.tuneSteps, lr: flags.tuneLr },
    baselines: flags.baselines === true,
  });
  bar.stop();
  await drawBits(result, `${flags.device ?? "any device"}, limit ${kinds}`, flags.out);
  if (result.isCancelled || result.constraints.some(({ isMet }) => !isMet)) process.exitCode = 4;
  await writeReport(flags.out);
  if (flags.json) return printJson(result);
  show(result);
  print(`saved    ${flags.out}/model.onnx, card.json, policy.json, bits.svg, report.html (${formatBytes(result.card.fileBytes)})`);
}

/** bits.svg: the policy of the quantised file as a picture. */
async function drawBits({ layers, policies, chosen, isQuantizedKept }: QuantizeResult, limits: string, out: string): Promise<void> {
  const { bits } = policies.find(({ name }) => name === chosen)!;
  const { bitsFigure } = await import("../report/bits-figure.ts");
  const bars = layers.map((layer, i) => ({ ...layer, ...bits[i]! }));
  const title = isQuantizedKept ? limits : `${limits}; quantized.onnx`;
  writeFileAtomic(join(out, "bits.svg"), bitsFigure(title, bars));
}

/** Accuracies of the file and of the engine that differ by more are told. */
const LARGEST_GAP = 0.002;
const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
const oneDigit = (value: number) => value.toFixed(1);

function show({ card, original, policies, chosen, constraints, latencyMs, isQuantizedKept }: QuantizeResult): void {
  const rows = policies.map(({ name, bits, costs, validation, test, tuned }) => [
    name,
    oneDigit(mean(bits.map(({ weightBits }) => weightBits))),
    oneDigit(mean(bits.map(({ activationBits }) => activationBits))),
    ...costs.map((value, i) => formatCost(constraints[i]!.name, value)),
    formatPercent(validation),
    formatPercent(test),
    tuned === null ? "-" : formatPercent(tuned.validation),
    tuned === null ? "-" : formatPercent(tuned.test),
  ]);
  const whole = [
    "float",
    "32.0",
    "32.0",
    ...constraints.map(() => "-"),
    formatPercent(original.validation),
    formatPercent(original.test),
    "-",
    "-",
  ];
  const columns = [
    "policy",
    "weight bits",
    "activation bits",
    ...constraints.map(({ name }) => name),
    "validation",
    "test",
    "tuned: validation",
    "tuned: test",
  ];
  print(table(columns, [whole, ...rows]));
  if (chosen !== "haq") print(`\nkept     ${chosen}: the best on validation images after training`);
  for (const constraint of constraints) showConstraint(constraint);
  print(
    `measured ${formatMs(latencyMs.quantized)} on this cpu, the float file ${formatMs(latencyMs.original)}; test accuracy ${formatPercent(card.accuracy.test)}, ${formatBytes(card.fileBytes)} of ${formatBytes(original.fileBytes)}`,
  );
  const { test, engine = test } = card.accuracy;
  if (Math.abs(test - engine) > LARGEST_GAP)
    print(`         in the engine it has ${formatPercent(engine)}: ONNX Runtime rounds some values of this network otherwise`);
  if (!isQuantizedKept)
    print(
      "         the quantised model is not 2% faster than the float one on this cpu: model.onnx is the float one, quantized.onnx the other",
    );
  else if (latencyMs.quantized > latencyMs.original)
    print("         the quantised file is SLOWER than the float one on this cpu; what it saves is elsewhere");
}
