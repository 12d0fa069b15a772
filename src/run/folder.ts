/** @file The folder of one run: resolved configuration, state, database, artefacts. */
import { readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "../util/clock.ts";
import { ensureDir, writeFileAtomic } from "../util/files.ts";
import { LOCK_FILE, lockFolder } from "./lock.ts";
import { begunAt, STATE_FILE, writeState } from "./state.ts";
import { openStore, STORE_FILE } from "./store.ts";

/** Results of one task that are not computed again after a crash. */
export interface Journal<T> {
  /** What was there when it was opened. */
  readonly entries: readonly T[];
  append(entry: T): void;
}

export interface RunFolder extends Disposable {
  readonly dir: string;
  path(name: string): string;
  writeJson(name: string, value: unknown): void;
  /** Keeps bytes as an artefact of that name. */
  writeBytes(name: string, bytes: Uint8Array): void;
  readBytes(name: string): Uint8Array;
  log(event: Readonly<Record<string, unknown>> & { readonly type: string }): void;
  /** The run came to its end: nothing is left to go on with. */
  finish(): void;
  /** Takes back a run that nothing has come of. */
  discard(): void;
  /** Without `resume` it starts empty. */
  journal<T>(task: string, resume: boolean): Journal<T>;
}

/** What there is before a stage has something to save, at most: the model as it was given. */
const FIRST_FILES = [
  LOCK_FILE,
  "config.json",
  STATE_FILE,
  STORE_FILE,
  `${STORE_FILE}-wal`,
  `${STORE_FILE}-shm`,
  "artefacts",
  "model.onnx",
  "card.json",
] as const;

/** Creates the folder, or opens it again, and writes config.json; to be disposed of. @throws AppError STORE when it cannot be written or another run is at work in it */
export function openRunFolder(dir: string, config: unknown, clock: Clock = systemClock): RunFolder {
  ensureDir(dir);
  using opening = new DisposableStack();
  opening.use(lockFolder(dir));
  const path = (name: string) => join(dir, name);
  const writeJson = (name: string, value: unknown) => writeFileAtomic(path(name), `${JSON.stringify(value, null, 2)}\n`);
  const begun = begunAt(dir) ?? clock.now().toISOString();
  writeJson("config.json", config);
  writeState(dir, { begun, isFinished: false });
  const store = opening.use(openStore(dir));
  const opened = opening.move();
  return {
    dir,
    path,
    writeJson,
    writeBytes: (name, bytes) => store.putArtefact(clock.now(), name, bytes),
    readBytes: (name) => readFileSync(path(name)),
    log: ({ type, ...data }) => store.addEvent(clock.now(), type, data),
    journal: <T>(task: string, resume: boolean) => {
      if (!resume) store.clearTrials(task);
      return { entries: store.trials<T>(task), append: (entry: T) => store.addTrial(task, entry) };
    },
    finish: () => writeState(dir, { begun, isFinished: true }),
    discard: () => {
      opened.dispose();
      for (const name of FIRST_FILES) rmSync(path(name), { recursive: true, force: true });
      if (readdirSync(dir).length === 0) rmdirSync(dir);
    },
    [Symbol.dispose]: () => opened.dispose(),
  };
}
