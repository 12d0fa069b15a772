/** @file The folder of one run: resolved configuration, event log, artefacts. */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "../util/clock.ts";
import { ensureDir, storeError, writeFileAtomic } from "../util/files.ts";

export interface RunFolder {
  readonly dir: string;
  path(name: string): string;
  writeJson(name: string, value: unknown): void;
  writeBytes(name: string, bytes: Uint8Array): void;
  readBytes(name: string): Uint8Array;
  /** Appends one line to events.jsonl. */
  log(event: Readonly<Record<string, unknown>>): void;
}

/** Creates the folder and writes config.json. @throws AppError STORE when it cannot be written */
export function openRunFolder(dir: string, config: unknown, clock: Clock = systemClock): RunFolder {
  ensureDir(dir);
  const path = (name: string) => join(dir, name);
  const writeJson = (name: string, value: unknown) => writeFileAtomic(path(name), `${JSON.stringify(value, null, 2)}\n`);
  writeJson("config.json", config);
  return {
    dir,
    path,
    writeJson,
    writeBytes: (name, bytes) => writeFileAtomic(path(name), bytes),
    readBytes: (name) => readFileSync(path(name)),
    log: (event) => {
      try {
        appendFileSync(path("events.jsonl"), `${JSON.stringify({ time: clock.now().toISOString(), ...event })}\n`);
      } catch (error) {
        throw storeError(path("events.jsonl"), error);
      }
    },
  };
}
