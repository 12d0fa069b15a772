/** @file Latency of ONNX files in ONNX Runtime on this machine. */
import { createSession, type OnnxSession } from "../onnx/session.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { median, quantile } from "../util/statistics.ts";

export interface LatencyStatistics {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly meanMs: number;
  /** Timed runs. */
  readonly count: number;
}

export interface MeasureOptions {
  readonly threads?: number;
  /** Runs before timing starts (default 20). */
  readonly warmup?: number;
  /** Time at least so long (default 1000). */
  readonly minMs?: number;
  /** And at least so often (default 50). */
  readonly minRuns?: number;
  /** Shape of the input, batch included, where the file leaves axes open (default: 1 for each of them). */
  readonly shape?: readonly number[];
  readonly clock?: Clock;
}

/** A batch of one, random content would not change the time of dense float kernels. */
export function inputFor(session: OnnxSession, given: readonly number[] = session.inputShape): { x: Float32Array; shape: number[] } {
  const shape = given.map((dim) => Math.max(1, dim));
  const x = new Float32Array(shape.reduce((product, n) => product * n, 1));
  for (let i = 0; i < x.length; i++) x[i] = Math.sin(i);
  return { x, shape };
}

/** Milliseconds of each of `runs` calls. */
export async function timeRuns(session: OnnxSession, runs: number, clock: Clock, given?: readonly number[]): Promise<number[]> {
  const { x, shape } = inputFor(session, given);
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = clock.nowMs();
    await session.run(x, shape);
    times.push(clock.nowMs() - start);
  }
  return times;
}

export function summariseTimes(times: readonly number[]): LatencyStatistics {
  return {
    p50Ms: median([...times]),
    p95Ms: quantile([...times], 0.95),
    meanMs: times.reduce((sum, t) => sum + t, 0) / times.length,
    count: times.length,
  };
}

/** Times a model, file or bytes, at batch 1. @throws AppError ONNX when it does not load or run */
export async function measureModel(model: string | Uint8Array, options: MeasureOptions = {}): Promise<LatencyStatistics> {
  const { threads = 1, warmup = 20, minMs = 1000, minRuns = 50, shape, clock = systemClock } = options;
  const session = await createSession(model, { threads });
  try {
    await timeRuns(session, warmup, clock, shape);
    const times: number[] = [];
    const start = clock.nowMs();
    while (times.length < minRuns || clock.nowMs() - start < minMs) times.push(...(await timeRuns(session, 10, clock, shape)));
    return summariseTimes(times);
  } finally {
    await session.close();
  }
}

/** Measurements of a model that is over a limit, the first included: what else the machine does only ever adds time. */
const ATTEMPTS = 3;

/** Times a model again, twice at most, while what it took is over a limit. @returns what had the least median */
export async function timedAgain(
  model: string | Uint8Array,
  first: LatencyStatistics,
  isOver: (latency: LatencyStatistics) => boolean,
  options: MeasureOptions = {},
): Promise<LatencyStatistics> {
  let least = first;
  for (let attempt = 1; attempt < ATTEMPTS && isOver(least); attempt++) {
    const again = await measureModel(model, options);
    if (again.p50Ms < least.p50Ms) least = again;
  }
  return least;
}

/** Times a model, and twice more at most while it takes longer than `limitMs`. @returns the least of the medians, ms */
export async function leastLatency(model: string | Uint8Array, limitMs: number, options: MeasureOptions = {}): Promise<number> {
  const first = await measureModel(model, options);
  return (await timedAgain(model, first, ({ p50Ms }) => p50Ms > limitMs, options)).p50Ms;
}

/**
 * Times several models against one another: rounds go through all of them, so that a slow phase of the machine hits each alike.
 * @returns medians in ms, in the models' order
 */
export async function measureTogether(
  models: readonly (string | Uint8Array)[],
  options: MeasureOptions & { readonly rounds?: number } = {},
): Promise<number[]> {
  const { threads = 1, rounds = 15, minRuns = 20, clock = systemClock } = options;
  const sessions: OnnxSession[] = [];
  try {
    for (const model of models) sessions.push(await createSession(model, { threads }));
    const medians: number[][] = sessions.map(() => []);
    for (let round = 0; round <= rounds; round++) {
      for (const [i, session] of sessions.entries()) {
        const times = await timeRuns(session, minRuns, clock);
        if (round > 0) medians[i]!.push(median(times));
      }
    }
    return medians.map((times) => median(times));
  } finally {
    for (const session of sessions) await session.close();
  }
}
