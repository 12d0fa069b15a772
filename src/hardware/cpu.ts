/** @file This machine's CPU, measured operator by operator in ONNX Runtime. */
import type { Graph, SampleShape } from "../graph/types.ts";
import { createSession } from "../onnx/session.ts";
import { defaultCacheDir } from "../util/cache-dir.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { createProgress, type OnProgress } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { median, quantile } from "../util/statistics.ts";
import type { Device } from "./device.ts";
import { hostFingerprint, openLatencyCache } from "./latency-cache.ts";
import { timeRuns } from "./measure.ts";
import { type Arrangement, canChain, emptyGraph, feedNode, operatorGraph, timingModel } from "./operator-model.ts";
import { type Operator, operatorsOf } from "./operators.ts";
import { FLOAT_BITS, type PrecisionChoices } from "./precision.ts";

export interface CpuOptions {
  /** Threads inside one operator (default 1). */
  readonly threads?: number;
  /** Where tables are kept (default: the user's cache folder). */
  readonly cacheDir?: string;
  readonly onWarning?: (message: string) => void;
  readonly onProgress?: OnProgress;
  readonly clock?: Clock;
}

export interface CpuDevice extends Device {
  readonly kind: "measured";
  readonly threads: number;
  /** What its kernels compute with: a layer's weights and activations are both 8-bit integers, or both floats. */
  readonly precisions: PrecisionChoices;
  /** Measures, with progress, every operator of these graphs that is not known yet. */
  prepare(graphs: readonly Graph[]): Promise<void>;
}

const FEW = 1;
const MANY = 9;
const ROUNDS = 9;
const ROUND_MS = 1.5;
/** Values per operator, of which the median counts. */
const PASSES = 3;
/** Rounds whose middle half spreads more than this are repeated once, in case something else was running. */
const LARGEST_SPREAD = 0.15;

/** Alternates between models so that drift hits all alike; per model the median over rounds of each round's median call. */
async function alternate(models: readonly Uint8Array[], threads: number, clock: Clock): Promise<{ mediansMs: number[]; spread: number }> {
  const sessions = [];
  try {
    for (const model of models) sessions.push(await createSession(model, { threads }));
    const runs: number[] = [];
    for (const session of sessions) {
      await timeRuns(session, 5, clock);
      const pace = median(await timeRuns(session, 5, clock));
      runs.push(Math.min(200, Math.max(8, Math.ceil(ROUND_MS / pace))));
    }
    const rounds: number[][] = sessions.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, session] of sessions.entries()) rounds[i]!.push(median(await timeRuns(session, runs[i]!, clock)));
    }
    const last = rounds.at(-1)!;
    return { mediansMs: rounds.map((times) => median(times)), spread: (quantile(last, 0.75) - quantile(last, 0.25)) / median(last) };
  } finally {
    for (const session of sessions) await session.close();
  }
}

async function alternateCalmly(models: readonly Uint8Array[], threads: number, clock: Clock): Promise<number[]> {
  const first = await alternate(models, threads, clock);
  if (first.spread <= LARGEST_SPREAD) return first.mediansMs;
  const second = await alternate(models, threads, clock);
  return (second.spread < first.spread ? second : first).mediansMs;
}

/** Opens the CPU as a device; nothing is measured before it is asked for, except the cost of a call. */
export async function openCpu(options: CpuOptions = {}): Promise<CpuDevice> {
  const { threads = 1, cacheDir = defaultCacheDir(), onWarning = () => {}, onProgress, clock = systemClock } = options;
  const cache = openLatencyCache(cacheDir, hostFingerprint(threads), onWarning);
  /** Operators whose cost noise took to 0: worth remembering for this process, not for the next. */
  const vanishing = new Map<string, number>();
  const known = (key: string): number | undefined => cache.get(key) ?? vanishing.get(key);
  const rng = createRng(0);
  const model = (graph: Graph) => timingModel(graph, rng);

  const slope = async (operator: Operator, arrangement: Arrangement): Promise<number> => {
    const graphs = [FEW, MANY].map((copies) => operatorGraph(operator, copies, arrangement));
    const [few, many] = await alternateCalmly(graphs.map(model), threads, clock);
    return Math.max(0, (many! - few!) / (MANY - FEW));
  };
  /** The cheap convolution that can be timed as a chain and with sums. */
  const probe = (shape: SampleShape): Operator | null => {
    const node = feedNode({ inputShape: shape }, 0);
    return node && operatorsOf({ name: "probe", input: { name: "input", shape }, nodes: [node], output: node.name })[0]!;
  };
  /** Milliseconds of an operator; what is measured on the way is put into `found`. */
  const operatorInto = (found: Map<string, number>) => {
    const remembered = async (key: string, measure: () => Promise<number>): Promise<number> => {
      const ms = known(key) ?? found.get(key) ?? (await measure());
      found.set(key, ms);
      return ms;
    };
    const sumMs = (shape: SampleShape): Promise<number> =>
      remembered(`sum ${shape.join("x")}`, async () => {
        const operator = probe(shape);
        return operator ? Math.max(0, (await slope(operator, "sums")) - (await slope(operator, "chain"))) : 0;
      });
    const operatorMs = (operator: Operator): Promise<number> =>
      remembered(operator.key, async () => {
        if (canChain(operator)) return slope(operator, "chain");
        const total = await slope(operator, "sums");
        if (operator.addsResidual || operator.node.op === "linear") return total;
        const feed = operator.node.op === "conv" ? null : probe(operator.inputShape);
        return Math.max(0, total - (await sumMs(operator.outputShape)) - (feed ? await operatorMs(feed) : 0));
      });
    return operatorMs;
  };
  /** Goes through the operators in passes, so that a slow phase of the machine falls on one of an operator's values alone. */
  const measure = async (operators: readonly Operator[], report: (done: number) => void = () => {}): Promise<Map<string, number>> => {
    const passes = Array.from({ length: PASSES }, () => new Map<string, number>());
    let done = 0;
    for (const found of passes) {
      const operatorMs = operatorInto(found);
      for (const operator of operators) {
        await operatorMs(operator);
        report(++done);
      }
    }
    const medians = new Map([...passes[0]!.keys()].map((key) => [key, median(passes.map((found) => found.get(key)!))]));
    for (const [key, ms] of medians) (ms > 0 ? cache : vanishing).set(key, ms);
    cache.save();
    return medians;
  };
  let overheadMs = cache.get("call");
  if (overheadMs === undefined) {
    [overheadMs] = (await alternateCalmly([model(emptyGraph([16]))], threads, clock)) as [number];
    cache.set("call", overheadMs);
    cache.save();
  }

  return {
    name: "cpu",
    kind: "measured",
    threads,
    precisions: { weightBits: [8, FLOAT_BITS], activationBits: [8, FLOAT_BITS], isCoupled: true },
    overheadMs,
    latencyMs: async (graph) => {
      let total = 0;
      for (const operator of operatorsOf(graph)) total += known(operator.key) ?? (await measure([operator])).get(operator.key)!;
      return total;
    },
    prepare: async (graphs) => {
      const missing = new Map<string, Operator>();
      for (const graph of graphs)
        for (const operator of operatorsOf(graph)) if (known(operator.key) === undefined) missing.set(operator.key, operator);
      await measure([...missing.values()], createProgress("measuring operators", PASSES * missing.size, clock, onProgress));
    },
  };
}
