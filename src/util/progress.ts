/** @file Progress as events; whoever shows them decides how. */
import type { Clock } from "./clock.ts";

export interface ProgressEvent {
  /** What is being done, e.g. "training". */
  readonly task: string;
  readonly done: number;
  readonly total: number;
  /** Remaining time; absent until it can be told. */
  readonly etaMs?: number;
  readonly message?: string;
}
export type OnProgress = (event: ProgressEvent) => void;

/** The first steps compile kernels: no estimate before this much time. */
const ESTIMATE_AFTER_MS = 1000;

/** Makes events of one task, with the remaining time from the pace so far. */
export function createProgress(task: string, total: number, clock: Clock, onProgress: OnProgress | undefined) {
  const started = clock.nowMs();
  /** Done before the first report: what is gone on with does not begin at 0. */
  let before: number | null = null;
  return (done: number, message?: string): void => {
    before ??= Math.max(0, done - 1);
    const elapsed = clock.nowMs() - started;
    const isTold = done >= total || (done > before && elapsed >= ESTIMATE_AFTER_MS);
    const eta = isTold ? { etaMs: done >= total ? 0 : (elapsed / (done - before)) * (total - done) } : {};
    onProgress?.({ task, done, total, ...eta, ...(message === undefined ? {} : { message }) });
  };
}
