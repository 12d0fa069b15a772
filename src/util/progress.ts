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
  return (done: number, message?: string): void => {
    const elapsed = clock.nowMs() - started;
    const eta = done >= total || (done > 0 && elapsed >= ESTIMATE_AFTER_MS) ? { etaMs: (elapsed / done) * (total - done) } : {};
    onProgress?.({ task, done, total, ...eta, ...(message === undefined ? {} : { message }) });
  };
}
