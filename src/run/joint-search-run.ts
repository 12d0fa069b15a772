/** @file `fettle joint search`: the best sub-net and bits for a device and its limits, fine-tuned, exported, measured. */

import { join } from "node:path";
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { QuantizedWeights } from "../graph/quantized-weight.ts";
import { isAccelerator, isCpu } from "../hardware/kinds.ts";
import { measureModel } from "../hardware/measure.ts";
import type { Precision } from "../hardware/precision.ts";
import { type AccuracyTask, floatAccuracy, quantizedAccuracy, quantizedSubnet, tunedSubnet } from "../joint/accuracy-tasks.ts";
import { floatSpace } from "../joint/costs.ts";
import { extract, extractCalibrated } from "../joint/extract.ts";
import { type JointBudget, type JointDevice, jointLimits } from "../joint/limits.ts";
import { layerBits } from "../joint/precision.ts";
import { openPredictor } from "../joint/predictor.ts";
import { type JointSearchOptions, searchAtRandom, searchJointly } from "../joint/search.ts";
import { loadSupernet } from "../joint/train-supernet.ts";
import { exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import { quantizableLayers } from "../quantize/layers.ts";
import { policyOf } from "../quantize/network.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import type { Scored } from "../search/evolve.ts";
import { paretoFront } from "../search/pareto.ts";
import { createGenetics, type Genome } from "../space/genome.ts";
import { largestSubnet, summariseSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { systemClock } from "../util/clock.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import { CALIBRATION_BATCHES, calibrationImages, type FineTuneOptions } from "./compression-steps.ts";
import { confirmMeasured, MEASURED_SHARE } from "./confirm.ts";
import { deploy, fileMetadata } from "./deploy.ts";
import { contest, type Network } from "./finalists.ts";
import { openRunFolder } from "./folder.ts";
import { FLOAT_PREDICTOR, type JointDescription, PREDICTOR, readJointDescription, readPredictor, SUPERNET } from "./joint-folder.ts";
import { constraintsOf, requireEachReachable } from "./joint-limits.ts";
import { layerCostKind, writeLayerCosts } from "./layer-costs.ts";
import { nameCost } from "./limit-kinds.ts";
import { clearFolder, requireSameRun } from "./resume.ts";

/**
 * How sub-nets are looked for: jointly, by as many random draws, with the same bits everywhere, or the architecture alone, which costs
 * what it does at 8 bits and is exported as floats.
 */
export type JointMethod = "joint" | "random" | "architecture" | { readonly fixedBits: number };

export interface JointSearchRunOptions extends FineTuneOptions {
  /** Folder of the supernet. */
  readonly supernetDir: string;
  readonly dir: string;
  readonly config: unknown;
  /** null where no limit depends on a device. */
  readonly device: JointDevice | null;
  readonly budgets: readonly JointBudget[];
  readonly method?: JointMethod;
  readonly population?: number;
  readonly generations?: number;
  /** Of the best as predicted, how many are judged on validation images before one is chosen (default 8). */
  readonly judged?: number;
  readonly threads: number;
  readonly onStart?: () => void;
}

/** What nothing beats in predicted accuracy and every cost. */
export interface FrontierPoint {
  readonly accuracy: number;
  /** That of the first limit, and those of all. */
  readonly cost: number;
  readonly costs: readonly number[];
  readonly summary: string;
}

export interface JointSearchResult {
  readonly card: Card;
  readonly summary: string;
  /** By the predictor, and measured before and after fine-tuning, 0…1. */
  readonly predicted: number;
  readonly validation: number;
  readonly tuned: number | null;
  readonly frontier: readonly FrontierPoint[];
  /** From the limits to the chosen sub-net, costs of the device included. */
  readonly searchSeconds: number;
  readonly isCancelled: boolean;
}

/** What a run that was interrupted had found: measured latencies would find another. */
interface Choice {
  readonly genome: readonly number[];
  readonly predicted: number;
}

/** A sub-net to be fine-tuned; quantised ones know their codes and bits. */
interface SubnetNetwork extends Network {
  readonly encoded?: () => QuantizedWeights;
  readonly precision: ReadonlyMap<string, Precision>;
}

/** Scored sub-nets that the report shows. */
const SCORED_KEPT = 400;
const JUDGED = 8;
/** Training of each before that. */
const JUDGED_AFTER = { tuneSteps: SHORT_TUNE.steps, tuneLr: SHORT_TUNE.lr } as const;

/** @throws AppError CONFIG when the images are not those that the supernet was trained for */
export function requireImagesOf({ classes, space }: JointDescription, { train }: DataSplits, dir: string): void {
  const [want, got] = [
    [space.input, classes],
    [train.shape, train.classes],
  ].map(([shape, names]) => `${shape!.join("x")} of ${names!.join(", ")}`);
  if (want !== got) throw new AppError("CONFIG", `joint: the images must be those of ${dir}, ${want}, got ${got}`);
}

/** The predictor's best in the order of their accuracy on validation images, then the others as predicted. */
async function judgedFirst(
  best: readonly { readonly genome: Genome }[],
  judge: (genome: Genome) => number,
  { judged: count = JUDGED, signal, onProgress, clock = systemClock }: JointSearchRunOptions,
): Promise<Genome[]> {
  const genomes = best.map(({ genome }) => genome);
  if (count < 2) return genomes;
  const few = genomes.slice(0, count);
  const report = createProgress("judging the best", few.length, clock, onProgress);
  const judged: { genome: Genome; accuracy: number }[] = [];
  for (const genome of few) {
    if (signal?.aborted) return genomes;
    const accuracy = judge(genome);
    judged.push({ genome, accuracy });
    report(judged.length, `last ${formatPercent(accuracy)}`);
    await turnOfOthers();
  }
  judged.sort((a, b) => b.accuracy - a.accuracy);
  return [...judged.map(({ genome }) => genome), ...genomes.slice(count)];
}

function chooseGenome(options: JointSearchRunOptions, search: JointSearchOptions): Promise<readonly Scored<Genome>[]> {
  const { method = "joint" } = options;
  if (method === "random") return searchAtRandom(search);
  if (method === "joint") return searchJointly(search);
  const bits = method === "architecture" ? 8 : method.fixedBits;
  const fixedBits = search.space.bits.indexOf(bits);
  if (fixedBits < 0)
    throw new AppError("CONFIG", `joint: fixed bits must be among those of the space (${search.space.bits.join(", ")}), got ${bits}`);
  return searchJointly({ ...search, fixedBits });
}

/** Searches, fine-tunes and exports; everything is kept in the run folder. @throws AppError CONFIG, INFEASIBLE, ONNX, STORE */
export async function runJointSearch(options: JointSearchRunOptions): Promise<JointSearchResult> {
  const {
    supernetDir,
    dir,
    config,
    device,
    budgets,
    data,
    recipe,
    threads,
    signal,
    onProgress,
    onNote = () => {},
    clock = systemClock,
  } = options;
  const started = clock.nowMs();
  if (options.resume) requireSameRun(dir, config);
  const description = readJointDescription(supernetDir);
  requireImagesOf(description, data, supernetDir);
  const isOnFloats = device !== null && !isAccelerator(device);
  const isFloat = isOnFloats || options.method === "architecture";
  const space = isOnFloats ? floatSpace(description.space) : description.space;
  const measuring = { report: null as ReturnType<typeof createProgress> | null };
  const limits = await jointLimits(space, device, budgets, (done, total) => {
    measuring.report ??= createProgress("measuring blocks", total, clock, onProgress);
    measuring.report(done);
  });
  requireEachReachable(space, limits);
  const genetics = createGenetics(space);
  const seen = new Map<string, { readonly genome: Genome; readonly accuracy: number; readonly costs: readonly number[] }>();
  const generations = options.generations ?? 500;
  const report = createProgress("searching", generations, clock, onProgress);
  using shared = loadSupernet(description.space, join(supernetDir, SUPERNET));
  {
    using predictor = openPredictor(space, readPredictor(join(supernetDir, isFloat ? FLOAT_PREDICTOR : PREDICTOR)));
    await chooseGenome(options, {
      space,
      predictor,
      limits,
      generations,
      seed: recipe.seed,
      ...(options.population === undefined ? {} : { population: options.population }),
      ...(signal ? { signal } : {}),
      onScored: (genomes, accuracies) => {
        for (const [i, genome] of genomes.entries())
          seen.set(genetics.key(genome), { genome, accuracy: accuracies[i]!, costs: limits.map(({ cost }) => cost(genome)) });
      },
      onGeneration: (generation, best) => report(generation, `predicted ${formatPercent(best.score)}`),
    });
  }
  if (seen.size === 0)
    throw new AppError("NOT_REACHED", "joint: at least one generation must be completed, got none before the interruption");
  const best = [...seen.values()].sort((a, b) => b.accuracy - a.accuracy);
  const frontier = paretoFront(best, ({ accuracy, costs }) => [accuracy, ...costs.map((cost) => -cost)]).map(
    ({ genome, accuracy, costs }): FrontierPoint => ({
      accuracy,
      cost: costs[0]!,
      costs,
      summary: summariseSubnet(space, genetics.decode(genome).subnet),
    }),
  );
  const latency = limits.find(({ kind }) => kind === "latency");
  const isMeasured = latency !== undefined && device !== null && isCpu(device);
  /** What the file is asked for, not the search's estimate. */
  const ofFile = limits.filter(({ kind }) => kind === "size" || (kind === "latency" && isMeasured));
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const task: AccuracyTask = {
    space,
    shared,
    data,
    images,
    batchSize: recipe.batchSize,
    augmentation: recipe.augmentation,
    ...JUDGED_AFTER,
    seed: recipe.seed,
  };
  /** The file as it will be, but for the values of its weights. */
  const fileOf = (genome: Genome): Uint8Array => {
    const choice = genetics.decode(genome);
    if (isFloat) {
      const metadata = fileMetadata(subnetGraph(space, choice.subnet), data.name, new Map());
      return exportOnnx(extract(space, shared, choice.subnet), { metadata });
    }
    using net = quantizedSubnet(task, choice);
    const layers = quantizableLayers(net.graph);
    const metadata = fileMetadata(net.graph, data.name, policyOf(layers, layerBits(space, choice, layers)));
    return exportOnnx({ graph: net.graph, weights: exportWeights(net.params) }, { quantized: net.encoded(), metadata });
  };
  const judge = (genome: Genome) => (isFloat ? floatAccuracy(task, genome) : quantizedAccuracy(task, genome));
  const choose = async (): Promise<Choice> => {
    const judged = await judgedFirst(best, judge, options);
    const genome =
      ofFile.length > 0
        ? await confirmMeasured({
            candidates: judged,
            estimate: (one) => Math.max(...ofFile.map(({ cost, limit }) => cost(one) / limit)),
            measure: async (one) => {
              const file = fileOf(one);
              const shares: number[] = [];
              for (const { kind, limit } of ofFile)
                shares.push(
                  kind === "size" ? file.length / limit : (await measureModel(file, { threads })).p50Ms / (MEASURED_SHARE * limit),
                );
              return Math.max(...shares);
            },
            limit: 1,
          })
        : judged[0]!;
    return { genome: [...genome], predicted: seen.get(genetics.key(genome))!.accuracy };
  };
  if (!options.resume) clearFolder(dir);
  using folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  const journal = folder.journal<Choice>("choice", options.resume === true);
  const { predicted, ...kept } = journal.entries[0] ?? (await choose());
  const searchSeconds = (clock.nowMs() - started) / 1000;
  // an interruption leaves the best unjudged: a run that is gone on with judges them
  if (journal.entries.length === 0 && !signal?.aborted) journal.append({ ...kept, predicted });
  const chosen = Uint8Array.from(kept.genome);
  const choice = genetics.decode(chosen);
  const summary = summariseSubnet(space, choice.subnet);
  const costs = limits.map(({ kind, cost }) => nameCost(kind, cost(chosen))).join(", ");
  onNote(`found ${summary}: predicted ${formatPercent(Math.min(1, predicted))}, ${costs}, in ${searchSeconds.toFixed(1)} s`);

  const full = extractCalibrated(space, shared, largestSubnet(space), images);
  using fullParams = full.params;
  const open = (): SubnetNetwork & Disposable => {
    if (isFloat) {
      const { graph, params } = extractCalibrated(space, shared, choice.subnet, images);
      return { graph, params, precision: new Map(), [Symbol.dispose]: () => params[Symbol.dispose]() };
    }
    const isTrained = recipe.epochs > 0 && !signal?.aborted && !options.until?.aborted;
    const net = isTrained ? quantizedSubnet(task, choice) : tunedSubnet(task, choice);
    const layers = quantizableLayers(net.graph);
    return { ...net, projections: net.quantizers, precision: policyOf(layers, layerBits(space, choice, layers)) };
  };
  const { outcomes, card, isCancelled } = await contest(options, {
    finalists: [{ name: "joint", decisions: [...chosen] }],
    teacher: { graph: full.graph, params: fullParams },
    folder,
    open,
    deploy: async (_, { graph, params, precision, encoded }) => {
      await writeLayerCosts(folder, device, { graph: full.graph }, { graph, bits: precision }, layerCostKind(budgets));
      folder.writeJson("policy.json", {
        subnet: choice.subnet,
        summary,
        predicted,
        layers: [...precision].map(([name, bits]) => ({ name, ...bits })),
      });
      return deploy({
        graph,
        params,
        data,
        folder,
        seed: recipe.seed,
        threads,
        precision,
        ...(encoded ? { quantized: encoded() } : {}),
        constraints: (measured): Constraint[] => constraintsOf(limits, chosen, measured, isMeasured),
      });
    },
    onOutcome: (all) =>
      folder.writeJson("policies.json", {
        policies: all.map(({ decisions, ...outcome }) => ({ ...outcome, costs: limits.map(({ cost }) => cost(chosen)) })),
      }),
  });
  const [outcome] = outcomes;
  const scored = createRng(0)
    .shuffle([...best])
    .slice(0, SCORED_KEPT);
  folder.writeJson("frontier.json", {
    cost: budgets[0]!.kind,
    frontier,
    scored: scored.map(({ accuracy, costs: own }) => ({ accuracy, costs: own })),
  });
  return {
    card,
    summary,
    predicted,
    validation: outcome!.validation,
    tuned: outcome!.tuned?.validation ?? null,
    frontier,
    searchSeconds,
    isCancelled,
  };
}
