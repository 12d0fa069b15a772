/** @file The time that a run has: stages end when their share is over, and the run goes on with what they have. */
import type { RunFolder } from "../run/folder.ts";
import type { Clock } from "../util/clock.ts";

export interface Deadline {
  /** Milliseconds left, 0 at least; null without a limit. */
  leftMs(): number | null;
  /** Ends when `share` of what is left now is over, with a little slack; undefined without a limit. */
  until(share: number): AbortSignal | undefined;
  /** Remembers how much was used, for a run that is gone on with. */
  note(): void;
}

/** Share of its time that a stage may overrun before it is ended. */
const SLACK = 1.1;
/** What a stage has at least: beginning alone takes seconds. */
const LEAST_MS = 10_000;

/** @param timeMs for the run, over all its beginnings; null for no limit */
export function createDeadline(timeMs: number | null, folder: RunFolder, resume: boolean, clock: Clock): Deadline {
  const journal = folder.journal<number>("time", resume);
  const usedMs = journal.entries.at(-1) ?? 0;
  const started = clock.nowMs();
  const elapsedMs = () => usedMs + clock.nowMs() - started;
  const leftMs = () => (timeMs === null ? null : Math.max(0, timeMs - elapsedMs()));
  return {
    leftMs,
    until: (share) => {
      const left = leftMs();
      return left === null ? undefined : AbortSignal.timeout(Math.max(LEAST_MS, Math.round(Math.min(1, SLACK * share) * left)));
    },
    note: () => {
      if (timeMs !== null) journal.append(Math.round(elapsedMs()));
    },
  };
}
