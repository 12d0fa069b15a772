/** @file `fettle joint search`: the best sub-net and bits for a device and its limits, fine-tuned, exported, measured. */
import { join } from "node:path";
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { QuantizedWeights } from "../graph/quantized-weight.ts";
import { isAccelerator, isCpu } from "../hardware/kinds.ts";
import { measureTogether } from "../hardware/measure.ts";
import type { Precision } from "../hardware/precision.ts";
import { type AccuracyTask, quantizedSubnet } from "../joint/accuracy-tasks.ts";
import { floatSpace } from "../joint/costs.ts";
import { extract, extractCalibrated } from "../joint/extract.ts";
import { type JointBudget, type JointDevice, jointLimits } from "../joint/limits.ts";
import { layerBits } from "../joint/precision.ts";
import { openPredictor } from "../joint/predictor.ts";
import { type JointSearchOptions, searchAtRandom, searchJointly } from "../joint/search.ts";
import { loadSupernet } from "../joint/train-supernet.ts";
import { exportOnnx } from "../onnx/export.ts";
import { quantizableLayers } from "../quantize/layers.ts";
import { policyOf } from "../quantize/network.ts";
import type { Scored } from "../search/evolve.ts";
import { paretoFront } from "../search/pareto.ts";
import { createGenetics, type Genome } from "../space/genome.ts";
import { largestSubnet, summariseSubnet } from "../space/subnet.ts";
import { systemClock } from "../util/clock.ts";
import { createProgress } from "../util/progress.ts";
import { formatPercent } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import { CALIBRATION_BATCHES, calibrationImages, type FineTuneOptions } from "./compression-steps.ts";
import { confirmMeasured } from "./confirm.ts";
import { deploy } from "./deploy.ts";
import { contest, type Network } from "./finalists.ts";
import { openRunFolder } from "./folder.ts";
import { FLOAT_PREDICTOR, type JointDescription, PREDICTOR, readJointDescription, readPredictor, SUPERNET } from "./joint-folder.ts";
import { constraintsOf, requireEachReachable } from "./joint-limits.ts";
import { nameCost } from "./limit-kinds.ts";
import { requireSameRun } from "./resume.ts";

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
  readonly threads: number;
  readonly onStart?: () => void;
}

export interface JointSearchResult {
  readonly card: Card;
  readonly summary: string;
  /** By the predictor, and measured before and after fine-tuning, 0…1. */
  readonly predicted: number;
  readonly validation: number;
  readonly tuned: number | null;
  /** What nothing beats in predicted accuracy and in the first limit's cost. */
  readonly frontier: readonly { readonly accuracy: number; readonly cost: number }[];
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

/** @throws AppError CONFIG when the images are not those that the supernet was trained for */
export function requireImagesOf({ classes, space }: JointDescription, { train }: DataSplits, dir: string): void {
  const [want, got] = [
    [space.input, classes],
    [train.shape, train.classes],
  ].map(([shape, names]) => `${shape!.join("x")} of ${names!.join(", ")}`);
  if (want !== got) throw new AppError("CONFIG", `joint: the images must be those of ${dir}, ${want}, got ${got}`);
}

async function chooseGenome(options: JointSearchRunOptions, search: JointSearchOptions): Promise<readonly Scored<Genome>[]> {
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
  const seen: { readonly genome: Genome; readonly accuracy: number; readonly cost: number }[] = [];
  const { cost: firstCost } = limits[0]!;
  const generations = options.generations ?? 500;
  const report = createProgress("searching", generations, clock, onProgress);
  using shared = loadSupernet(description.space, join(supernetDir, SUPERNET));
  let scored: readonly Scored<Genome>[];
  {
    using predictor = openPredictor(space, readPredictor(join(supernetDir, isFloat ? FLOAT_PREDICTOR : PREDICTOR)));
    scored = await chooseGenome(options, {
      space,
      predictor,
      limits,
      generations,
      seed: recipe.seed,
      ...(options.population === undefined ? {} : { population: options.population }),
      ...(signal ? { signal } : {}),
      onScored: (genomes, accuracies) => {
        for (const [i, genome] of genomes.entries()) seen.push({ genome, accuracy: accuracies[i]!, cost: firstCost(genome) });
      },
      onGeneration: (generation, best) => report(generation, `predicted ${formatPercent(best.score)}`),
    });
  }
  const frontier = paretoFront(seen, ({ accuracy, cost }) => [accuracy, -cost]).map(({ accuracy, cost }) => ({ accuracy, cost }));
  const latency = limits.find(({ kind }) => kind === "latency");
  const isMeasured = latency !== undefined && device !== null && isCpu(device);
  const fileOf = (genome: Genome) => exportOnnx(extract(space, shared, genetics.decode(genome).subnet), { batch: 1 });
  const searched = isMeasured
    ? await confirmMeasured({
        candidates: [...seen].sort((a, b) => b.accuracy - a.accuracy).map(({ genome }) => genome),
        estimate: latency.cost,
        measure: async (genome) => (await measureTogether([fileOf(genome)], { threads }))[0]!,
        limit: latency.limit,
      })
    : scored[0]!.individual;
  const searchSeconds = (clock.nowMs() - started) / 1000;
  using folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  const journal = folder.journal<Choice>("choice", options.resume === true);
  const { predicted, ...kept } = journal.entries[0] ?? {
    genome: [...searched],
    predicted: seen.find(({ genome }) => genome === searched)!.accuracy,
  };
  if (journal.entries.length === 0) journal.append({ ...kept, predicted });
  const chosen = Uint8Array.from(kept.genome);
  const choice = genetics.decode(chosen);
  const summary = summariseSubnet(space, choice.subnet);
  const costs = limits.map(({ kind, cost }) => nameCost(kind, cost(chosen))).join(", ");
  onNote(`found ${summary}: predicted ${formatPercent(Math.min(1, predicted))}, ${costs}, in ${searchSeconds.toFixed(1)} s`);

  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const task: AccuracyTask = {
    space,
    shared,
    data,
    images,
    batchSize: recipe.batchSize,
    augmentation: recipe.augmentation,
    tuneSteps: 0,
    tuneLr: 0,
    seed: recipe.seed,
  };
  const full = extractCalibrated(space, shared, largestSubnet(space), images);
  using fullParams = full.params;
  const open = (): SubnetNetwork & Disposable => {
    if (isFloat) {
      const { graph, params } = extractCalibrated(space, shared, choice.subnet, images);
      return { graph, params, precision: new Map(), [Symbol.dispose]: () => params[Symbol.dispose]() };
    }
    const net = quantizedSubnet(task, choice);
    const layers = quantizableLayers(net.graph);
    return { ...net, projections: net.quantizers, precision: policyOf(layers, layerBits(space, choice, layers)) };
  };
  const { outcomes, card, isCancelled } = await contest(options, {
    finalists: [{ name: "joint", decisions: [...chosen] }],
    teacher: { graph: full.graph, params: fullParams },
    folder,
    open,
    deploy: (_, { graph, params, precision, encoded }) => {
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
    onOutcome: () => {},
  });
  const [outcome] = outcomes;
  folder.writeJson("frontier.json", { cost: budgets[0]!.kind, frontier });
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
