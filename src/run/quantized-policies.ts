/** @file Policies of bits that are trained at the end: the one that was found, as fast and small as measured, and simple ones beside it. */
import { someOf } from "../data/image-set.ts";
import { leastLatency } from "../hardware/measure.ts";
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { greedyBits } from "../quantize/baselines.ts";
import { withinBudget } from "../quantize/budget.ts";
import { fromDecisions, toDecisions } from "../quantize/environment.ts";
import { bitOps, type QuantizableLayer } from "../quantize/layers.ts";
import { policyOf, type QuantizedNetwork } from "../quantize/network.ts";
import { measureSensitivities } from "../quantize/sensitivity.ts";
import { policyKey } from "../rl/policy-search.ts";
import { evaluate, outputsOn } from "../train/evaluate.ts";
import { systemClock } from "../util/clock.ts";
import { combined } from "../util/combined-limits.ts";
import { createProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import type { CompressionOptions } from "./compression-steps.ts";
import { confirmedOnce, confirmMeasured, MEASURED_SHARE } from "./confirm.ts";
import type { Episodes } from "./episodes.ts";
import type { Finalist } from "./finalists.ts";
import type { RunFolder } from "./folder.ts";
import type { QuantizeLimits } from "./quantize-limits.ts";
import { quantizedFile } from "./quantized-files.ts";

export interface QuantizationContext {
  readonly layers: readonly QuantizableLayer[];
  readonly limits: QuantizeLimits;
  readonly folder: RunFolder;
  readonly episodes: Episodes;
  /** The network at these bits with statistics of its own, to be disposed of. */
  prepare(bits: readonly Precision[]): QuantizedNetwork;
  /** The same with statistics of fewer images, to be compared with its like. */
  sketch(bits: readonly Precision[]): QuantizedNetwork;
}

/** Validation images that policies are judged on, at most: divergences tell more of two policies on a tenth of the images than accuracies. */
export const JUDGED_IMAGES = 2000;
export const SENSITIVITY_IMAGES = 500;
/** At most so many files are written before one is of the size that is limited. */
const ATTEMPTS = 8;

/** Bits by how much each layer minds few; null when interrupted. */
export async function greedyPolicy(options: CompressionOptions, context: QuantizationContext): Promise<readonly Precision[] | null> {
  const { data, recipe, resume, signal, searchUntil, onProgress, clock = systemClock } = options;
  const { layers, limits, folder, sketch } = context;
  const divergences = folder.journal<{ bits: readonly number[]; divergence: number }>("sensitivities", resume === true);
  const before = new Map(divergences.entries.map(({ bits, divergence }) => [policyKey(bits), divergence]));
  const few = someOf(data.validation, SENSITIVITY_IMAGES, createRng(recipe.seed).fork("sensitivities"));
  const { normalisation } = data;
  const reference = (() => {
    using float = sketch(layers.map(() => ({ weightBits: FLOAT_BITS, activationBits: FLOAT_BITS })));
    return outputsOn(float.graph, float.params, few, { normalisation });
  })();
  const lossOf = (bits: readonly Precision[]): number => {
    const key = toDecisions(bits);
    const kept = before.get(policyKey(key));
    if (kept !== undefined) return kept;
    using net = sketch(bits);
    const divergence = evaluate(net.graph, net.params, few, { normalisation, reference }).divergence!;
    divergences.append({ bits: key, divergence });
    return divergence;
  };
  const onDone = createProgress("sensitivities", layers.length, clock, onProgress);
  const ends = [signal, searchUntil].filter((one) => one !== undefined);
  const sensitivity = await measureSensitivities({
    ...limits,
    lossOf,
    onProgress: (done) => onDone(done),
    signal: AbortSignal.any(ends),
  });
  return sensitivity && greedyBits(limits, sensitivity);
}

function fileOf(options: CompressionOptions, { layers, prepare }: QuantizationContext, bits: readonly Precision[]): Uint8Array {
  using net = prepare(bits);
  return quantizedFile(options, net, policyOf(layers, bits));
}

/** With fewer bits where the file would be larger than its limit: sizes are sums over layers, a file is not quite. */
function fittingSize(options: CompressionOptions, context: QuantizationContext, bits: readonly Precision[]): readonly Precision[] {
  const { layers, limits } = context;
  const size = limits.limits.find(({ kind }) => kind === "size");
  let [fitting, aim] = [bits, size?.limit ?? 0];
  for (let attempt = 0; size && attempt < ATTEMPTS; attempt++) {
    const bytes = fileOf(options, context, fitting).length;
    if (bytes <= size.limit) break;
    aim *= size.limit / bytes;
    const tighter = limits.limits.map((one) => (one === size ? { ...one, limit: aim } : one));
    fitting = withinBudget(fitting, { ...limits, ...combined(tighter, bitOps(layers)) });
  }
  return fitting;
}

/** The found policy, or another where its file is larger or slower than the limit as measured. */
export async function confirmedPolicy(
  options: CompressionOptions,
  context: QuantizationContext,
  found: readonly number[],
): Promise<readonly number[]> {
  const { limits, folder, episodes } = context;
  const latency = limits.limits.find(({ kind, obtained }) => kind === "latency" && obtained === "measured");
  if (!latency && limits.limits.every(({ kind }) => kind !== "size")) return found;
  const fastEnough = async (): Promise<readonly number[]> => {
    if (!latency) return found;
    const ranked = [...episodes.all()].sort((a, b) => a.divergence! - b.divergence!);
    const limit = MEASURED_SHARE * latency.limit;
    return confirmMeasured({
      candidates: ranked.map(({ decisions }) => decisions),
      estimate: (one) => latency.cost(fromDecisions(one)),
      measure: (one) => leastLatency(fileOf(options, context, fromDecisions(one)), limit, { threads: options.threads }),
      limit,
    });
  };
  return confirmedOnce(folder, options, found, async () => toDecisions(fittingSize(options, context, fromDecisions(await fastEnough()))));
}

/** The best of the same bits everywhere, and those by sensitivity. */
export function rivals(
  options: CompressionOptions,
  context: QuantizationContext,
  { alike, greedy }: { readonly alike: readonly (readonly Precision[])[]; readonly greedy: readonly Precision[] | null },
): Finalist<"uniform" | "greedy">[] {
  const policies: Finalist<"uniform" | "greedy">[] = [];
  const judged = alike.map((bits) => context.episodes.judgedBeside(toDecisions(bits)));
  if (judged.length > 0)
    policies.push({ name: "uniform", decisions: judged.reduce((a, b) => (b.divergence! < a.divergence! ? b : a)).decisions });
  else options.onNote?.("uniform: no uniform bits are within the limit");
  if (greedy) policies.push({ name: "greedy", decisions: toDecisions(fittingSize(options, context, greedy)) });
  return policies;
}
