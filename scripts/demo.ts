/**
 * @file `npm run demo`: searches a network for this CPU on Fashion-MNIST under a latency budget and compares it with the
 * width-scaled MobileNetV2 that takes as long, trained the same way.
 */

import { formatDuration, note, print, table } from "../src/cli/output.ts";
import { createProgressBar } from "../src/cli/progress-bar.ts";
import { loadData } from "../src/data/load.ts";
import { AppError, EXIT_CODES } from "../src/errors.ts";
import { openCpu } from "../src/hardware/cpu.ts";
import { measureTogether } from "../src/hardware/measure.ts";
import type { Card } from "../src/run/card.ts";
import { LATENCY_TOLERANCE, mobilenetV2Of } from "../src/run/matching.ts";
import { runNas } from "../src/run/nas-pipeline.ts";
import { trainNetwork } from "../src/run/train-run.ts";
import { mobileNetSpace } from "../src/space/description.ts";
import { defaultRecipe } from "../src/train/recipe.ts";
import { systemClock } from "../src/util/clock.ts";
import { createProgress } from "../src/util/progress.ts";
import { formatBytes, formatCount, formatMs, formatPercent } from "../src/util/units.ts";

const OUT = "runs/demo";
const SEARCH_IMAGES = 20_000;
const SEED = 0;
/** Share of the space's most expensive network. */
const BUDGET = 0.65;
const recipe = { ...defaultRecipe, epochs: 5, lr: 0.1, weightDecay: 2e-4, augmentation: { crop: 2, flip: true }, seed: SEED };

async function demo(): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  process.once("SIGINT", () => {
    controller.abort();
    note("\ndemo: stopping after this step");
  });
  const clock = systemClock;
  const started = clock.nowMs();
  const bar = createProgressBar();
  const onProgress = bar.onProgress;
  const [data, searchData] = await Promise.all([loadData("fashion-mnist"), loadData("fashion-mnist", { limit: SEARCH_IMAGES })]);
  const shape = data.train.shape;
  const classes = data.train.classes.length;
  const device = await openCpu({ threads: 1, onProgress, onWarning: (text) => note(`demo: ${text}`) });
  note("Fashion-MNIST: 54,000 training, 6,000 validation and 10,000 test images of clothing, 28x28 pixels");

  const found = await runNas({
    data: searchData,
    trainingData: data,
    space: mobileNetSpace({ input: shape, classes }),
    device,
    budget: { kind: "latency", quantity: { kind: "percent", ratio: BUDGET } },
    search: {
      mode: "two",
      loss: { name: "constraint" },
      warmupEpochs: 2,
      searchEpochs: 5,
      batchSize: 128,
      lr: 0.1,
      architectureLr: 0.02,
      weightStepsPerArchitectureStep: 2,
      augmentation: recipe.augmentation,
      seed: SEED,
    },
    recipe,
    dir: `${OUT}/found`,
    config: { command: "demo", recipe },
    threads: 1,
    signal,
    onProgress,
    onNote: note,
  });
  if (signal.aborted) return note(`demo: interrupted; what there is so far is in ${OUT}/found`);

  const baseline = await mobilenetV2Of(shape, classes, device, `${OUT}/found/model.onnx`);
  note(`comparing with ${baseline.network}, the MobileNetV2 width that takes as long`);
  let report: ((done: number, message?: string) => void) | null = null;
  const other = await trainNetwork({
    net: baseline.graph,
    data,
    recipe,
    dir: `${OUT}/mobilenet-v2`,
    config: { command: "demo", net: baseline.network, recipe },
    signal,
    onStep: ({ step, steps }) => {
      report ??= createProgress("training MobileNetV2", steps, clock, onProgress);
      report(step + 1);
    },
  });
  bar.stop();
  const [a, b] = await measureTogether([`${OUT}/found/model.onnx`, `${OUT}/mobilenet-v2/model.onnx`]);
  const row = (name: string, ms: number, card: Card) => [
    name,
    formatMs(ms),
    formatPercent(card.accuracy.test),
    `${formatCount(card.macs)}`,
    `${formatCount(card.params)}`,
    formatBytes(card.fileBytes),
  ];
  print(
    `\n${table(["network", "latency", "test accuracy", "MACs", "parameters", "file"], [row("found by Fettle", a!, found.card), row(baseline.network, b!, other.card)])}`,
  );
  print(
    `\nLatency: ONNX Runtime, 1 thread, 1 image, median, measured in turns. Limit ${found.limitText}: ${found.isMet ? "met" : "MISSED"} (${found.valueText}).`,
  );
  if (Math.abs(b! / a! - 1) > LATENCY_TOLERANCE)
    print(`The nearest MobileNetV2 width is ${formatPercent(b! / a! - 1)} away in latency: widths come in steps of 8 channels.`);
  print(`Found: ${found.summary}`);
  print(
    `Files: ${OUT}/found/model.onnx, ${OUT}/mobilenet-v2/model.onnx, each with its card.json. Took ${formatDuration(clock.nowMs() - started)}.`,
  );
  if (!found.isMet) process.exitCode = EXIT_CODES.NOT_REACHED;
}

try {
  await demo();
} catch (error) {
  if (!(error instanceof AppError)) throw error;
  note(`demo: ${error.message}`);
  process.exitCode = EXIT_CODES[error.code];
}
