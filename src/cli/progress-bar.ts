/** @file Progress on standard error: a bar on a terminal, a line every ten seconds elsewhere. */
import { SingleBar } from "cli-progress";
import { type Clock, systemClock } from "../util/clock.ts";
import type { OnProgress, ProgressEvent } from "../util/progress.ts";
import { formatDuration, note, progressLine } from "./output.ts";

const LINE_EVERY_MS = 10_000;

/** Shows events of one task after another. */
export function createProgressBar({ isQuiet = false, clock = systemClock as Clock } = {}): {
  readonly onProgress: OnProgress;
  /** A remark on a line of its own. */
  onNote(text: string): void;
  stop(): void;
} {
  let bar: SingleBar | null = null;
  let task = "";
  let lastLine = Number.NEGATIVE_INFINITY;
  const stop = () => {
    bar?.stop();
    bar = null;
    task = "";
  };
  const drawBar = (event: ProgressEvent) => {
    if (event.task !== task) {
      stop();
      task = event.task;
      const format = `${event.task} [{bar}] {percentage}%  {left}  {message}`;
      bar = new SingleBar({ format, barCompleteChar: "=", barIncompleteChar: "-", hideCursor: true, clearOnComplete: false });
      bar.start(event.total, 0, { left: "", message: "" });
    }
    bar?.update(event.done, { left: event.etaMs === undefined ? "" : `${formatDuration(event.etaMs)} left`, message: event.message ?? "" });
    if (event.done >= event.total) stop();
  };
  const drawLine = (event: ProgressEvent) => {
    const now = clock.nowMs();
    const isEdge = event.task !== task || event.done >= event.total;
    if (!isEdge && now - lastLine < LINE_EVERY_MS) return;
    task = event.done >= event.total ? "" : event.task;
    lastLine = now;
    note(progressLine(event));
  };
  if (isQuiet) return { onProgress: () => {}, onNote: () => {}, stop };
  const onNote = (text: string) => {
    if (bar) stop();
    note(text);
  };
  return { onProgress: process.stderr.isTTY ? drawBar : drawLine, onNote, stop };
}
