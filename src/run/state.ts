/** @file run.json: when a run was begun, and whether it came to its end. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../util/files.ts";

export const STATE_FILE = "run.json";

const schema = z.object({
  /** UTC, ISO 8601. */
  begun: z.string(),
  /** False while it runs, and after it was interrupted. */
  isFinished: z.boolean(),
});
export type RunState = z.infer<typeof schema>;

/** null for a run of an older version, which kept none. */
export function readState(dir: string): RunState | null {
  try {
    return schema.parse(JSON.parse(readFileSync(join(dir, STATE_FILE), "utf8")));
  } catch {
    return null;
  }
}

export function writeState(dir: string, state: RunState): void {
  writeFileAtomic(join(dir, STATE_FILE), `${JSON.stringify(state, null, 2)}\n`);
}

/** When the run in `dir` was begun, UTC; null when there is none. */
export function begunAt(dir: string): string | null {
  const config = join(dir, "config.json");
  return readState(dir)?.begun ?? (existsSync(config) ? statSync(config).birthtime.toISOString() : null);
}
