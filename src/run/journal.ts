/** @file An append-only list of results: what was computed once is not computed again after a crash. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { storeError } from "../util/files.ts";

export interface Journal<T> {
  /** What was there when it was opened. */
  readonly entries: readonly T[];
  append(entry: T): void;
}

/** Opens `path`; a last line that a crash cut off is dropped. Without `resume` it starts empty. @throws AppError STORE */
export function openJournal<T>(path: string, resume: boolean): Journal<T> {
  const entries: T[] = [];
  try {
    if (resume && existsSync(path)) {
      for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) entries.push(JSON.parse(line) as T);
    }
    writeFileSync(path, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  } catch (error) {
    throw storeError(path, error);
  }
  return {
    entries,
    append: (entry) => {
      try {
        appendFileSync(path, `${JSON.stringify(entry)}\n`);
      } catch (error) {
        throw storeError(path, error);
      }
    },
  };
}
