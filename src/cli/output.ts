/** @file What commands print. */
import type { ProgressEvent } from "../util/progress.ts";

/** Rows under a header, columns aligned; numbers to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const isNumeric = header.map((_, i) => rows.length > 0 && rows.every((row) => /^[-\d.]/.test(row[i] ?? "")));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (isNumeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [line(header), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n");
}

export const print = (text: string): void => console.log(text);
export const printJson = (value: unknown): void => console.log(JSON.stringify(value, null, 2));
export const note = (text: string): void => console.error(text);

/** Remaining time as people say it: 45 s, 3 min. */
export function formatDuration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 90 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

export function progressLine({ task, done, total, etaMs, message }: ProgressEvent): string {
  const share = total > 0 ? Math.round((100 * done) / total) : 100;
  const eta = etaMs === undefined ? "" : `, ${formatDuration(etaMs)} left`;
  return `${task} ${share}% (${done}/${total})${eta}${message ? `  ${message}` : ""}`;
}
