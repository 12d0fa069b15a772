/** @file The time that a run has: stages end when their share is over, and the run goes on with what they have. */
import type { RunFolder } from "../run/folder.ts";
import type { Clock } from "../util/clock.ts";

export interface Deadline {
  /** Milliseconds left, 0 at least; null without a limit. */
  leftMs(): number | null;
  /** Ends when `share` of what is left now is over, with a little slack; undefined without a limit. */
  until(share: number): AbortSignal | undefined;
  /** Remembers how much was used, for a run that is gone on with: now, or every few seconds when told that it goes on. */
  note(): void;
  tick(): void;
}

/** Share of its time that a stage may overrun before it is ended. */
const SLACK = 1.1;
/** What a stage has at least: beginning alone takes seconds. */
const LEAST_MS = 10_000;
const NOTED_EVERY_MS = 5000;
/** Node's timers end at once what is to take longer, 24 days. */
const LONGEST_MS = 2 ** 31 - 1;

export interface DeadlineOptions {
  /** For the run, over all its beginnings; null for no limit. */
  readonly timeMs: number | null;
  readonly folder: RunFolder;
  readonly resume: boolean;
  readonly clock: Clock;
  /** When this beginning of the run began, on the clock. */
  readonly startedMs: number;
}

export function createDeadline({ timeMs, folder, resume, clock, startedMs }: DeadlineOptions): Deadline {
  const journal = folder.journal<number>("time", resume);
  const usedMs = journal.entries.at(-1) ?? 0;
  let notedMs = startedMs;
  const elapsedMs = () => usedMs + clock.nowMs() - startedMs;
  const leftMs = () => (timeMs === null ? null : Math.max(0, timeMs - elapsedMs()));
  const note = () => {
    notedMs = clock.nowMs();
    if (timeMs !== null) journal.append(Math.round(elapsedMs()));
  };
  return {
    leftMs,
    until: (share) => {
      const left = leftMs();
      if (left === null) return undefined;
      const shareMs = Math.round(Math.min(1, SLACK * share) * left);
      return AbortSignal.timeout(Math.min(LONGEST_MS, Math.max(LEAST_MS, shareMs)));
    },
    note,
    tick: () => {
      if (clock.nowMs() - notedMs >= NOTED_EVERY_MS) note();
    },
  };
}
