/** @file The library's way to optimise: a run as a stream of events with a result. */
import { EventEmitter, on } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadData } from "../data/load.ts";
import type { DataSplits } from "../data/types.ts";
import { openDevice } from "../hardware/open.ts";
import type { Card, Constraint } from "../run/card.ts";
import { imagesFingerprint } from "../run/fingerprints.ts";
import { givenNormalisation, loadImagesFor, normalisedFor, requireImagesFor } from "../run/labelled-model.ts";
import { modelFingerprint, type OpenedModel, openModel } from "../run/model-file.ts";
import { requireFreeFolder } from "../run/replace.ts";
import type { StageName } from "../run/stage-names.ts";
import { requireBatch } from "../run/train-run.ts";
import { mobileNetSpace } from "../space/description.ts";
import { elasticMobileNet } from "../space/elastic.ts";
import { defaultRecipe, fittingBatch, lrFor } from "../train/recipe.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import type { ProgressEvent } from "../util/progress.ts";
import { checkConfig } from "./check-config.ts";
import { type Naming, type OptimizeConfig, plainNaming, type ResolvedConfig, resolveConfig } from "./config.ts";
import { runOptimize } from "./optimize-run.ts";

export type OptimizeEvent =
  /** A stage begins, in a folder of its own. */
  | { readonly type: "stage"; readonly name: StageName; readonly dir: string }
  | ({ readonly type: "progress" } & ProgressEvent)
  /** A remark in plain words: feasibility, what was found. */
  | { readonly type: "note"; readonly text: string };

export interface OptimizeResult {
  /** The ONNX file. */
  readonly model: Uint8Array;
  readonly card: Card;
  readonly constraints: readonly Constraint[];
  readonly stages: readonly StageName[];
  /** Test accuracy of the model that was given, 0…1; null without one. */
  readonly originalTest: number | null;
  /** Folder of the run, with model.onnx, card.json, policy.json and report.html. */
  readonly dir: string;
  /** Whether the signal ended it before its time; the best so far is there. */
  readonly isCancelled: boolean;
}

/** Events as they come, for whoever asks; the result in any case. */
export interface OptimizeRun extends AsyncIterable<OptimizeEvent> {
  /** @throws AppError CONFIG, INFEASIBLE, NOT_REACHED, DATA, ONNX, STORE */
  readonly result: Promise<OptimizeResult>;
}

export interface OptimizeHow {
  /** Ends the run with the best so far. */
  readonly signal?: AbortSignal;
  /** Go on with the run in `out`. */
  readonly resume?: boolean;
  /** Replace the run in `out`. */
  readonly overwrite?: boolean;
  /** How errors call the keys (default: as they are, of `optimize`). */
  readonly naming?: Naming;
  /** More for config.json. */
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly clock?: Clock;
}

async function loadImages(config: ResolvedConfig, opened: OpenedModel | null, splitSeed: number, emit: (event: OptimizeEvent) => void) {
  const { data, size, limit, validation } = config;
  const given = givenNormalisation("optimize", config);
  const onNote = (text: string) => emit({ type: "note", text });
  if (typeof data !== "string") {
    if (!opened) return data;
    requireImagesFor("optimize", opened, data);
    return normalisedFor("optimize", opened, data, { given, onNote });
  }
  const options = {
    seed: splitSeed,
    validationRatio: validation,
    ...(size === undefined ? {} : { size }),
    ...(limit === undefined ? {} : { limit }),
    onProgress: (done: number, total: number) => emit({ type: "progress", task: "reading images", done, total }),
  };
  return opened ? loadImagesFor("optimize", opened, data, options, { given, onNote }) : loadData(data, options);
}

async function run(config: ResolvedConfig, how: OptimizeHow, emit: (event: OptimizeEvent) => void): Promise<OptimizeResult> {
  const { signal, resume = false, naming = plainNaming("optimize"), clock = systemClock } = how;
  const startedMs = clock.nowMs();
  const { limits, timeMs } = checkConfig(config, naming);
  const opened = config.model === undefined ? null : await openModel(config.model, config.input);
  if (!resume) requireFreeFolder(config.out, { overwrite: how.overwrite === true, model: opened?.path });
  const splitSeed = config.splitSeed ?? opened?.trainedWith.splitSeed ?? config.seed;
  const onNote = (text: string) => emit({ type: "note", text });
  const onProgress = (event: ProgressEvent) => emit({ type: "progress", ...event });
  const device =
    typeof config.device === "string"
      ? await openDevice(config.device, { threads: config.threads, onWarning: onNote, onProgress })
      : config.device;
  const data: DataSplits = await loadImages(config, opened, splitSeed, emit);
  const batchSize = config.batch ?? fittingBatch(data.train.count);
  requireBatch(data, batchSize);
  const images = { input: data.train.shape, classes: data.train.classes.length, width: config.width };
  const { size, limit, validation } = config;
  const recipe = {
    ...defaultRecipe,
    batchSize,
    lr: (opened ? undefined : config.lr) ?? lrFor(batchSize, defaultRecipe.lr),
    augmentation: { crop: 4, flip: config.flip },
    seed: config.seed,
  };
  const result = await runOptimize({
    model: opened,
    data,
    source: {
      name: data.name,
      splitSeed,
      validation,
      ...(size === undefined ? {} : { size }),
      ...(limit === undefined ? {} : { limit }),
    },
    device,
    limits,
    method: config.method,
    elasticSpace: elasticMobileNet(images),
    space: mobileNetSpace(images),
    timeMs,
    startedMs,
    recipe,
    ...(opened && config.lr !== undefined ? { tuneLr: config.lr } : {}),
    ...(config.episodes === undefined ? {} : { episodes: config.episodes }),
    ...(config.epochs === undefined ? {} : { epochs: config.epochs }),
    distillation: config.distillation,
    baselines: config.baselines,
    threads: config.threads,
    dir: config.out,
    config: {
      command: "optimize",
      ...config,
      batch: batchSize,
      data: data.name,
      device: device.name,
      splitSeed,
      ...(opened ? { modelSha256: modelFingerprint(opened.model) } : {}),
      ...imagesFingerprint(data),
      ...how.facts,
    },
    resume,
    ...(signal ? { signal } : {}),
    onStage: (name, dir) => emit({ type: "stage", name, dir }),
    onProgress,
    onNote,
    clock,
  });
  return { ...result, model: readFileSync(join(config.out, "model.onnx")), dir: config.out };
}

/**
 * Searches, prunes and quantises until every limit holds on the device, and exports a measured ONNX file with a report.
 * Events end with the result; whoever does not ask for them loses none of it.
 * @throws AppError CONFIG at once for a configuration that is not valid; everything else rejects `result`
 */
export function optimize(config: OptimizeConfig, how: OptimizeHow = {}): OptimizeRun {
  const resolved = resolveConfig(config, how.naming ?? plainNaming("optimize"));
  const emitter = new EventEmitter();
  const events = on(emitter, "event", { close: ["end"] });
  const result = run(resolved, how, (event) => emitter.emit("event", event)).finally(() => emitter.emit("end"));
  result.catch(() => {}); // whoever awaits it gets the error
  return {
    result,
    async *[Symbol.asyncIterator]() {
      for await (const [event] of events) yield event as OptimizeEvent;
    },
  };
}
