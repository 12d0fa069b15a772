/** @file The database of a run: events, trials and artefacts. Written through at once, so that a killed process loses nothing. */
import { createHash } from "node:crypto";
import { existsSync, linkSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AppError } from "../errors.ts";
import { storeError, writeFileAtomic } from "../util/files.ts";

export const STORE_FILE = "run.db";
const ARTEFACTS = "artefacts";
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, time TEXT NOT NULL, type TEXT NOT NULL, data TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS trials (task TEXT NOT NULL, number INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (task, number));
  CREATE TABLE IF NOT EXISTS artefacts (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, time TEXT NOT NULL);
`;

export interface StoredEvent {
  readonly time: string;
  readonly type: string;
  readonly [field: string]: unknown;
}
export interface Artefact {
  readonly name: string;
  readonly sha256: string;
  readonly bytes: number;
}

export interface RunStore extends Disposable {
  addEvent(time: Date, type: string, data: Readonly<Record<string, unknown>>): void;
  /** In the order they happened. */
  events(type?: string): StoredEvent[];
  /** Results of a task in the order they were added. */
  trials<T>(task: string): T[];
  addTrial(task: string, result: unknown): void;
  clearTrials(task: string): void;
  /** Keeps bytes under their hash and gives them `name` in the folder in one step. */
  putArtefact(time: Date, name: string, bytes: Uint8Array): void;
  artefacts(): Artefact[];
}

const SQLITE_FULL = 13;

/** Errors of the database as one line for the user. */
function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof AppError) throw error;
    const { errcode } = error as { errcode?: number };
    const known =
      errcode === undefined
        ? error
        : errcode === SQLITE_FULL
          ? { code: "ENOSPC" }
          : new Error(`no database of a run (${(error as Error).message})`);
    throw storeError(path, known);
  }
}

/** The same bytes under a second name, in one step. */
function give(from: string, to: string): void {
  const temporary = `${to}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  linkSync(from, temporary);
  renameSync(temporary, to);
}

/** Opens the database in `dir`, making it if there is none. @throws AppError STORE naming the path and the cause */
export function openStore(dir: string): RunStore {
  const path = join(dir, STORE_FILE);
  const db = guarded(path, () => {
    const opened = new DatabaseSync(path);
    opened.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; ${SCHEMA}`);
    return opened;
  });
  const run = (sql: string, ...values: (string | number)[]) => guarded(path, () => void db.prepare(sql).run(...values));
  const all = (sql: string, ...values: string[]) =>
    guarded(path, () => db.prepare(sql).all(...values) as Record<string, string | number>[]);
  return {
    addEvent: (time, type, data) =>
      run("INSERT INTO events (time, type, data) VALUES (?, ?, ?)", time.toISOString(), type, JSON.stringify(data)),
    events: (type) => {
      const rows =
        type === undefined ? all("SELECT * FROM events ORDER BY id") : all("SELECT * FROM events WHERE type = ? ORDER BY id", type);
      return rows.map((row) => ({ ...JSON.parse(`${row.data}`), time: `${row.time}`, type: `${row.type}` }) as StoredEvent);
    },
    trials: <T>(task: string) =>
      all("SELECT data FROM trials WHERE task = ? ORDER BY number", task).map(({ data }) => JSON.parse(`${data}`) as T),
    addTrial: (task, result) =>
      run(
        "INSERT INTO trials (task, number, data) SELECT ?1, coalesce(max(number), -1) + 1, ?2 FROM trials WHERE task = ?1",
        task,
        JSON.stringify(result),
      ),
    clearTrials: (task) => run("DELETE FROM trials WHERE task = ?", task),
    putArtefact: (time, name, bytes) => {
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const kept = join(dir, ARTEFACTS, sha256);
      if (!existsSync(kept)) writeFileAtomic(kept, bytes);
      guarded(join(dir, name), () => {
        try {
          give(kept, join(dir, name));
        } catch (error) {
          // file systems without hard links
          if (!["EPERM", "ENOTSUP", "EXDEV", "EMLINK"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
          writeFileAtomic(join(dir, name), bytes);
        }
      });
      run(
        "INSERT INTO artefacts (name, sha256, bytes, time) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET sha256 = ?2, bytes = ?3, time = ?4",
        name,
        sha256,
        bytes.length,
        time.toISOString(),
      );
    },
    artefacts: () => all("SELECT name, sha256, bytes FROM artefacts ORDER BY name") as unknown as Artefact[],
    [Symbol.dispose]: () => {
      if (db.isOpen) db.close();
    },
  };
}
