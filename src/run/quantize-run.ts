/** @file The whole way of `fettle quantize`: feasibility, search for bits, fine-tuning, packed file, uniform and greedy bits beside it. */
import { someOf } from "../data/image-set.ts";
import { AppError } from "../errors.ts";
import { withEndingOf } from "../graph/ending.ts";
import { requireComputable } from "../graph/opaque.ts";
import { paramSpecs } from "../graph/params.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import { measureTogether } from "../hardware/measure.ts";
import { type Accelerator, FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { createParameters, importWeights } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import { exportOnnx } from "../onnx/export.ts";
import { uniformCandidates, uniformPrecisions } from "../quantize/baselines.ts";
import { uniformBits } from "../quantize/budget.ts";
import { createPrecisionEnvironment, fromDecisions } from "../quantize/environment.ts";
import { bitOps } from "../quantize/layers.ts";
import type { LayerLatencies } from "../quantize/measured-latency.ts";
import { policyOf, type QuantizedNetwork } from "../quantize/network.ts";
import { shortTune } from "../quantize/short-tune.ts";
import type { CalibrationMethod } from "../quantize/thresholds.ts";
import type { WeightScheme } from "../quantize/weights.ts";
import { type Judgement, type RewardOf, searchPolicy } from "../rl/policy-search.ts";
import { evaluate, outputsOn } from "../train/evaluate.ts";
import { requireNoAverage } from "../train/recipe.ts";
import { systemClock } from "../util/clock.ts";
import { finished } from "../util/disposal.ts";
import { createProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent, type Quantity } from "../util/units.ts";
import type { Card, Constraint } from "./card.ts";
import { accuracyOn, CALIBRATION_BATCHES, type CompressionOptions, calibrationImages, trainable } from "./compression-steps.ts";
import { deploy } from "./deploy.ts";
import { openEpisodes } from "./episodes.ts";
import { requireFastBits } from "./fast-bits.ts";
import { type Accuracies, contest, type Finalist, type Outcome } from "./finalists.ts";
import { openRunFolder } from "./folder.ts";
import { layerCostKind, writeLayerCosts } from "./layer-costs.ts";
import { formatCost, nameCost } from "./limit-kinds.ts";
import { prepareQuantization } from "./prepare-quantization.ts";
import { isMeasured, type QuantizeBudgetKind, type QuantizeLimit, quantizeLimits } from "./quantize-limits.ts";
import { constraintsOf, deployCommon, deployQuantized, writePolicy } from "./quantized-files.ts";
import { confirmedPolicy, greedyPolicy, JUDGED_IMAGES, type QuantizationContext, rivals } from "./quantized-policies.ts";
import { clearFolder } from "./replace.ts";
import { readKept, requireSameRun } from "./resume.ts";
import { requireBatch } from "./train-run.ts";

export interface QuantizeOptions extends CompressionOptions {
  readonly device: Accelerator | CpuDevice | null;
  /** What must hold at once. */
  readonly budgets: readonly { readonly kind: QuantizeBudgetKind; readonly quantity: Quantity }[];
  readonly bits: { readonly lowest: number; readonly highest: number };
  readonly scheme: WeightScheme;
  readonly calibration: CalibrationMethod;
  /** Training of each policy before it is judged: batches, and their learning rate. */
  readonly shortTune: { readonly steps: number; readonly lr: number };
  /** Begin with bits by sensitivity, which takes a while to measure on deep networks (default true). */
  readonly sensitivities?: boolean;
  /** Where a latency on this CPU is limited: refuse before the search what integers, timed as a whole, do not meet (default false). */
  readonly isTimedFirst?: boolean;
  /** Train the best uniform bits, and those by sensitivity, alike. */
  readonly baselines: boolean;
}

export interface BitsResult {
  readonly name: "haq" | "uniform" | "greedy";
  readonly bits: readonly Precision[];
  /** In the unit of each limit, in their order. */
  readonly costs: readonly number[];
  readonly bitOps: number;
  /** 0…1, before and after training; null when it was not trained. */
  readonly validation: number;
  readonly test: number;
  readonly tuned: Accuracies | null;
}

export interface QuantizeResult {
  readonly card: Card;
  readonly layers: readonly { readonly name: string; readonly isDepthwise: boolean }[];
  readonly original: { readonly validation: number; readonly test: number; readonly bitOps: number; readonly fileBytes: number };
  readonly policies: readonly BitsResult[];
  /** The policy of the quantised file: that of the highest validation accuracy. */
  readonly chosen: BitsResult["name"];
  readonly constraints: readonly Constraint[];
  /** What the same bits everywhere cost, in the unit of each limit: what a limit can be set to. */
  readonly uniform: readonly (Precision & { readonly costs: readonly number[] })[];
  /** Median latency of the float and of the quantised file on this CPU, measured in turns. */
  readonly latencyMs: { readonly original: number; readonly quantized: number };
  /**
   * False when model.onnx is the float network, since the quantised one (quantized.onnx) was not faster, by more than measurements
   * scatter, on the CPU that it was made for.
   */
  readonly isQuantizedKept: boolean;
  readonly isCancelled: boolean;
}

/** Of the run's folder: what layers took on this CPU, so that a run that is gone on with has the same limits. */
const LATENCIES = "costs.json";

/** Share of the episodes that vary the best policy. */
const REFINEMENT = 0.5;
/**
 * The noise of the actor fades to a tenth over the episodes that it decides, where 0.99 an episode, as published for 600, would leave short
 * searches at random: an option of seven is one deviation of 0.14 wide.
 */
const noiseDecay = ({ episodes, warmup }: QuantizeOptions): number =>
  Math.min(0.99, 0.1 ** (1 / Math.max(1, Math.round((1 - REFINEMENT) * episodes) - warmup)));

const STATISTICS_BATCHES = 4;
/** A quantised file must take at most this share of the float one's time on the CPU that it was made for. */
const LEAST_GAIN = 0.98;
/** Reward per nat. HAQ takes a tenth per percentage point of accuracy lost; so many points cost 4 bits everywhere as this gives for their divergence. */
const REWARD_FACTOR = 2;
const rewardOf: RewardOf = ({ divergence }) => -REWARD_FACTOR * divergence!;

/** Searches and quantises; everything is kept in the run folder. @throws AppError CONFIG, INFEASIBLE, ONNX, STORE */
export async function runQuantize(options: QuantizeOptions): Promise<QuantizeResult> {
  const { data, source, recipe, dir, config, device, scheme, onNote = () => {}, onProgress, signal, clock = systemClock } = options;
  requireNoAverage("quantize", recipe);
  if (options.resume) requireSameRun(dir, config);
  requireComputable(options.model.graph, source);
  if (recipe.epochs > 0 || options.shortTune.steps > 0) requireBatch(data, recipe.batchSize);
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const model = trainable(options.model, images);
  using params = createParameters(paramSpecs(model.graph), createRng(0));
  importWeights(params, model.weights);
  const { layers, quantization } = prepareQuantization(model, params, {
    images,
    scheme,
    calibration: options.calibration,
    areResultsQuantized: isMeasured(device),
    seed: recipe.seed,
  });
  const measuring = createProgress("measuring layers", layers.length, clock, onProgress);
  const limits = await quantizeLimits(model, layers, quantization, {
    budgets: options.budgets,
    device,
    bits: options.bits,
    scheme,
    original: options.model.graph,
    data: data.name,
    latencies: readKept<LayerLatencies>(dir, LATENCIES, options),
    onProgress: (done) => measuring(done),
  });
  if (options.isTimedFirst && !options.resume) await requireFastBits(options, layers, quantization, limits);
  const costsOf = (bits: readonly Precision[]) => limits.limits.map(({ cost }) => cost(bits));
  const bitOpsOf = bitOps(layers);
  const float = layers.map(() => ({ weightBits: FLOAT_BITS, activationBits: FLOAT_BITS }));

  if (!options.resume) clearFolder(dir);
  using folder = openRunFolder(dir, config, clock);
  options.onStart?.();
  if (limits.latencies) folder.writeJson(LATENCIES, limits.latencies);
  const original = {
    validation: accuracyOn(model.graph, params, data, "validation"),
    test: accuracyOn(model.graph, params, data, "test"),
    bitOps: bitOpsOf(float),
    fileBytes: exportOnnx(options.model).length,
  };
  onNote(
    `${model.graph.name}: ${layers.length} layers, validation ${formatPercent(original.validation)}, ${limits.limits.map(describeLimit).join(", ")}`,
  );

  const statistics = images.slice(0, STATISTICS_BATCHES);
  const prepare = (bits: readonly Precision[], batches = statistics): QuantizedNetwork =>
    finished(quantization.create(bits), ({ graph, params }) => recalibrate(graph, params, batches));
  const tuning = { ...options.shortTune, data, batchSize: recipe.batchSize, augmentation: recipe.augmentation, seed: recipe.seed };
  /** As it is judged: after a few batches of training, with statistics of its own. */
  const tunedShortly = (bits: readonly Precision[]): QuantizedNetwork =>
    finished(quantization.create(bits), (net) => {
      shortTune(net, tuning);
      recalibrate(net.graph, net.params, statistics);
    });
  const { normalisation } = data;
  const judged = someOf(data.validation, JUDGED_IMAGES, createRng(recipe.seed).fork("judged"));
  const reference = outputsOn(model.graph, params, judged, { normalisation });
  const judge = (decisions: readonly number[]): Judgement => {
    using net = tunedShortly(fromDecisions(decisions));
    const { accuracy, divergence } = evaluate(net.graph, net.params, judged, { normalisation, reference });
    return { accuracy, divergence: divergence! };
  };
  const uniform = uniformPrecisions(limits.choices).map((one) => ({ ...one, costs: costsOf(uniformBits(limits.pins, one)) }));
  for (const { weightBits, activationBits, costs } of uniform)
    onNote(
      `  ${nameBits({ weightBits, activationBits })} everywhere: ${costs.map((value, i) => nameCost(limits.limits[i]!.kind, value)).join(", ")}`,
    );
  const episodes = openEpisodes({
    ...options,
    folder,
    judge,
    costsOf: (decisions) => costsOf(fromDecisions(decisions)),
    onBest: ({ decisions, accuracy, episode }) =>
      writePolicy(folder, layers, fromDecisions(decisions), limits, scheme, { searchAccuracy: accuracy, episode }),
  });
  const environment = createPrecisionEnvironment({ layers, ...limits });
  const sketch = (bits: readonly Precision[]) => prepare(bits, statistics.slice(0, 1));
  const context: QuantizationContext = { layers, limits, folder, episodes, prepare, sketch };
  const alike = uniformCandidates(limits);
  const { weightBits, activationBits } = limits.choices;
  const most = { weightBits: weightBits.at(-1)!, activationBits: activationBits.at(-1)! };
  const isTight = limits.cost(uniformBits(limits.pins, most)) > limits.budget;
  const isTried = options.sensitivities !== false && (options.baselines || alike.length < options.episodes);
  const greedy = isTight && isTried ? await greedyPolicy(options, context) : null;
  const found = await searchPolicy({
    environment,
    starts: [...alike, ...(greedy ? [greedy] : [])].map(environment.actionsOf),
    refinement: REFINEMENT,
    reward: rewardOf,
    episodes: options.episodes,
    seed: recipe.seed,
    agent: { warmup: options.warmup, capacity: 256 * layers.length, noiseDecay: noiseDecay(options) },
    known: episodes.known,
    evaluate: episodes.judged,
    onEpisode: episodes.onEpisode,
    ...(signal ? { signal } : {}),
    ...(options.searchUntil ? { until: options.searchUntil } : {}),
  });
  if (!found) throw new AppError("NOT_REACHED", "quantize: at least one episode must be completed, got none before the interruption");

  const decisions = await confirmedPolicy(options, context, found.decisions);
  const finalists: Finalist<BitsResult["name"]>[] = [{ name: "haq", decisions }];
  if (options.baselines && !signal?.aborted) finalists.push(...rivals(options, context, { alike, greedy }));

  const bitsResult = ({ decisions, ...outcome }: Outcome<BitsResult["name"]>): BitsResult => {
    const bits = fromDecisions(decisions);
    return { ...outcome, bits, costs: costsOf(bits), bitOps: bitOpsOf(bits) };
  };
  const { outcomes, chosen, isCancelled, ...end } = await contest(options, {
    finalists,
    teacher: options.teacher ?? { graph: model.graph, params },
    folder,
    open: (decisions) => {
      const isTrained = recipe.epochs > 0 && !signal?.aborted && !options.until?.aborted;
      const net = (isTrained ? prepare : tunedShortly)(fromDecisions(decisions));
      return { ...net, projections: net.quantizers };
    },
    deploy: async ({ name, decisions }, net) => {
      const bits = fromDecisions(decisions);
      const after = { graph: net.graph, bits: policyOf(layers, bits) };
      await writeLayerCosts(folder, isMeasured(device) ? null : device, { graph: model.graph }, after, layerCostKind(options.budgets));
      writePolicy(folder, layers, bits, limits, scheme, {
        policy: name,
        searchAccuracy: episodes.accuracyOf(decisions),
      });
      return deployQuantized(options, net, limits, policyOf(layers, bits), bits, folder);
    },
    onOutcome: (all) =>
      folder.writeJson("policies.json", { original, layers: layers.map(({ name }) => name), policies: all.map(bitsResult) }),
  });
  const files = [exportOnnx(options.model), folder.path("model.onnx")];
  const [originalMs, quantizedMs] = await measureTogether(files, { threads: options.threads });
  /** What meets limits that floats miss is kept whatever time it takes. */
  const isNeeded = () =>
    areMet(end.card.constraints) &&
    !areMet(constraintsOf(limits, float)({ latency: { p50Ms: originalMs! }, fileBytes: original.fileBytes }));
  const isQuantizedKept = !isMeasured(device) || quantizedMs! <= LEAST_GAIN * originalMs! || isNeeded();
  let { card } = end;
  if (!isQuantizedKept) {
    onNote("integers are not 2% faster than floats on this cpu: the float network is kept, quantized.onnx is the other");
    folder.writeBytes("quantized.onnx", folder.readBytes("model.onnx"));
    await writeLayerCosts(folder, null, { graph: model.graph }, { graph: model.graph }, layerCostKind(options.budgets));
    writePolicy(folder, layers, float, limits, scheme, { policy: "float" });
    card = await deploy({
      ...deployCommon(options, folder),
      graph: withEndingOf(options.model.graph, model.graph),
      params,
      constraints: constraintsOf(limits, float),
    });
  }
  if (!isCancelled) folder.finish();
  return {
    card,
    layers: layers.map(({ name, isDepthwise }) => ({ name, isDepthwise })),
    original,
    policies: outcomes.map(bitsResult),
    chosen,
    constraints: card.constraints,
    uniform,
    latencyMs: { original: originalMs!, quantized: quantizedMs! },
    isQuantizedKept,
    isCancelled,
  };
}

const areMet = (constraints: readonly Constraint[]): boolean => constraints.every(({ isMet }) => isMet);

const nameBits = ({ weightBits, activationBits }: Precision): string =>
  weightBits === FLOAT_BITS ? "float" : activationBits === FLOAT_BITS ? `${weightBits}-bit weights` : `${weightBits} bits`;

const describeLimit = ({ kind, limit, reference }: QuantizeLimit): string =>
  `limit ${formatCost(kind, limit)}; ${reference.of} ${formatCost(kind, reference.cost)}`;
