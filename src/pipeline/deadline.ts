/** @file The time that a run has: stages end when their share is over, and the run goes on with what they have. */
import type { Clock } from "../util/clock.ts";

export interface Deadline {
  /** Milliseconds left, 0 at least; null without a limit. */
  leftMs(): number | null;
  /** Ends with the user's signal, or when `share` of what is left now is over. */
  signalFor(share: number): AbortSignal | undefined;
}

export function createDeadline(timeMs: number | null, clock: Clock, signal: AbortSignal | undefined): Deadline {
  const started = clock.nowMs();
  const leftMs = () => (timeMs === null ? null : Math.max(0, started + timeMs - clock.nowMs()));
  return {
    leftMs,
    signalFor: (share) => {
      const left = leftMs();
      if (left === null) return signal;
      const timer = AbortSignal.timeout(Math.max(1, Math.round(share * left)));
      return signal ? AbortSignal.any([signal, timer]) : timer;
    },
  };
}
