/** @file From limits to one sub-net: evolution by predicted accuracy, the best of it judged on images, the first whose file is within the limits. */
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { leastLatency } from "../hardware/measure.ts";
import { type AccuracyTask, judgeFloat, judgeQuantized, quantizedSubnet } from "../joint/accuracy-tasks.ts";
import { extract } from "../joint/extract.ts";
import type { JointLimit } from "../joint/limits.ts";
import { layerBits } from "../joint/precision.ts";
import { openPredictor } from "../joint/predictor.ts";
import { withBitsRaised } from "../joint/raised-bits.ts";
import { type JointSearchOptions, searchAtRandom, searchJointly } from "../joint/search.ts";
import { unlike } from "../joint/unlike.ts";
import { exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import { quantizableLayers } from "../quantize/layers.ts";
import { policyOf } from "../quantize/network.ts";
import { paretoFront } from "../search/pareto.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome, type JointChoice } from "../space/genome.ts";
import { summariseSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import type { Evaluation } from "../train/evaluate.ts";
import { systemClock } from "../util/clock.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createProgress } from "../util/progress.ts";
import { formatPercent } from "../util/units.ts";
import { confirmMeasured, MEASURED_SHARE } from "./confirm.ts";
import { fileMetadata } from "./deploy.ts";
import { FLOAT_PREDICTOR, PREDICTOR, readPredictor } from "./joint-folder.ts";
import { type JointSearchRunOptions, JUDGED } from "./joint-search-options.ts";

/** What nothing beats in predicted accuracy and every cost. */
export interface FrontierPoint {
  readonly accuracy: number;
  /** That of the first limit, and those of all. */
  readonly cost: number;
  readonly costs: readonly number[];
  /** The sub-net and the bits of every block of the largest network, and the sub-net in words. */
  readonly choice: JointChoice;
  readonly summary: string;
}
export interface ScoredSubnet {
  readonly genome: Genome;
  /** As predicted, 0…1. */
  readonly accuracy: number;
  readonly costs: readonly number[];
}

export interface SubnetSearch {
  /** With the bits that the device has. */
  readonly space: ElasticSpace;
  /** Sub-nets are judged and exported as floats. */
  readonly isFloat: boolean;
  /** A latency is that of the file. */
  readonly isMeasured: boolean;
  readonly limits: readonly JointLimit[];
}

const GENERATIONS = 500;
/** Of the best, so many have what is left of the limits spent on bits. */
const RAISED = 200;

function runEvolution({ method = "joint" }: JointSearchRunOptions, search: JointSearchOptions): Promise<unknown> {
  if (method === "random") return searchAtRandom(search);
  if (method === "joint") return searchJointly(search);
  const bits = method === "architecture" ? 8 : method.fixedBits;
  const fixedBits = search.space.bits.indexOf(bits);
  if (fixedBits < 0)
    throw new AppError("CONFIG", `joint: fixed bits must be among those of the space (${search.space.bits.join(", ")}), got ${bits}`);
  return searchJointly({ ...search, fixedBits });
}

/** Every sub-net within the limits that the search came by, the best as predicted first. @throws AppError CONFIG, NOT_REACHED */
export async function scoreSubnets(
  options: JointSearchRunOptions,
  { space, isFloat, limits }: SubnetSearch,
): Promise<readonly ScoredSubnet[]> {
  const { supernetDir, population, generations = GENERATIONS, recipe, signal, onProgress, clock = systemClock } = options;
  const genetics = createGenetics(space);
  const seen = new Map<string, ScoredSubnet>();
  const report = createProgress("searching", generations, clock, onProgress);
  using predictor = openPredictor(space, readPredictor(join(supernetDir, isFloat ? FLOAT_PREDICTOR : PREDICTOR)));
  await runEvolution(options, {
    space,
    predictor,
    limits,
    generations,
    seed: recipe.seed,
    ...(population === undefined ? {} : { population }),
    ...(signal ? { signal } : {}),
    onScored: (genomes, accuracies) => {
      for (const [i, genome] of genomes.entries())
        seen.set(genetics.key(genome), { genome, accuracy: accuracies[i]!, costs: limits.map(({ cost }) => cost(genome)) });
    },
    onGeneration: (generation, best) => report(generation, `predicted ${formatPercent(best.score)}`),
  });
  if (seen.size === 0)
    throw new AppError("NOT_REACHED", "joint: at least one generation must be completed, got none before the interruption");
  const byAccuracy = () => [...seen.values()].sort((a, b) => b.accuracy - a.accuracy);
  if (isFloat || typeof options.method === "object") return byAccuracy();
  const best = byAccuracy().slice(0, RAISED);
  const raised = best.map(({ genome }) => withBitsRaised(space, limits, genome));
  const predicted = predictor.predict(raised);
  for (const { genome } of best) seen.delete(genetics.key(genome));
  for (const [i, { accuracy }] of best.entries()) {
    const genome = raised[i]!;
    const key = genetics.key(genome);
    // more bits lose nothing, whatever is predicted of them; several may come to the same
    const most = Math.max(accuracy, predicted[i]!, seen.get(key)?.accuracy ?? 0);
    seen.set(key, { genome, accuracy: most, costs: limits.map(({ cost }) => cost(genome)) });
  }
  return byAccuracy();
}

export function frontierOf(space: ElasticSpace, scored: readonly ScoredSubnet[]): FrontierPoint[] {
  const { decode } = createGenetics(space);
  const front = paretoFront(scored, ({ accuracy, costs }) => [accuracy, ...costs.map((cost) => -cost)]);
  return front.map(({ genome, accuracy, costs }): FrontierPoint => {
    const choice = decode(genome);
    return { accuracy, cost: costs[0]!, costs, choice, summary: summariseSubnet(space, choice.subnet) };
  });
}

/**
 * The predictor's best in the order of their loss on validation images, which is less a matter of chance than hits, then the others as
 * predicted.
 */
async function judgedFirst(
  space: ElasticSpace,
  best: readonly ScoredSubnet[],
  judge: (genome: Genome) => Evaluation,
  { judged: count = JUDGED, signal, onProgress, clock = systemClock }: JointSearchRunOptions,
): Promise<readonly ScoredSubnet[]> {
  if (count < 2) return best;
  const few = unlike(space, best, count);
  const report = createProgress("judging the best", few.length, clock, onProgress);
  const judged: { readonly one: ScoredSubnet; readonly loss: number }[] = [];
  for (const one of few) {
    if (signal?.aborted) return best;
    const { loss, accuracy } = judge(one.genome);
    judged.push({ one, loss });
    report(judged.length, `last ${formatPercent(accuracy)}`);
    await turnOfOthers();
  }
  judged.sort((a, b) => a.loss - b.loss);
  return [...judged.map(({ one }) => one), ...best.filter((one) => !few.includes(one))];
}

/** The file as it will be, but for the values of its weights. */
function fileOf(task: AccuracyTask, { space, isFloat }: SubnetSearch, genome: Genome): Uint8Array {
  const { shared, data } = task;
  const choice = createGenetics(space).decode(genome);
  if (isFloat) {
    const metadata = fileMetadata(subnetGraph(space, choice.subnet), data.name, new Map());
    return exportOnnx(extract(space, shared, choice.subnet), { metadata });
  }
  using net = quantizedSubnet(task, choice);
  const layers = quantizableLayers(net.graph);
  const metadata = fileMetadata(net.graph, data.name, policyOf(layers, layerBits(space, choice, layers)));
  return exportOnnx({ graph: net.graph, weights: exportWeights(net.params) }, { quantized: net.encoded(), metadata });
}

/** The best of the scored as judged on images; where files are limited, the first whose file is within the limits. */
export async function chooseSubnet(
  options: JointSearchRunOptions,
  search: SubnetSearch,
  { task, scored }: { readonly task: AccuracyTask; readonly scored: readonly ScoredSubnet[] },
): Promise<ScoredSubnet> {
  const { threads } = options;
  const judge = (genome: Genome) => (search.isFloat ? judgeFloat : judgeQuantized)(task, genome);
  const candidates = await judgedFirst(search.space, scored, judge, options);
  /** What the file is asked for, not the search's estimate. */
  const ofFile = search.limits.filter(({ kind }) => kind === "size" || (kind === "latency" && search.isMeasured));
  if (ofFile.length === 0) return candidates[0]!;
  const measure = async ({ genome }: ScoredSubnet): Promise<number> => {
    const file = fileOf(task, search, genome);
    const shares: number[] = [];
    for (const { kind, limit } of ofFile) {
      const aim = MEASURED_SHARE * limit;
      shares.push(kind === "size" ? file.length / limit : (await leastLatency(file, aim, { threads })) / aim);
    }
    return Math.max(...shares);
  };
  return confirmMeasured({
    candidates,
    estimate: ({ genome }) => Math.max(...ofFile.map(({ cost, limit }) => cost(genome) / limit)),
    measure,
    limit: 1,
  });
}
