/** @file One process at a time works in the folder of a run. The lock is SQLite's: it ends with its process, however that ends. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AppError } from "../errors.ts";
import { storeError } from "../util/files.ts";

export const LOCK_FILE = ".lock";
const SQLITE_BUSY = 5;
/** A process that is ending keeps its lock for a moment. */
const PATIENCE_MS = 500;

/** Holds the folder until it is disposed of. @throws AppError STORE while another holds it */
export function lockFolder(dir: string): Disposable {
  const path = join(dir, LOCK_FILE);
  using stack = new DisposableStack();
  try {
    const db = stack.adopt(new DatabaseSync(path, { timeout: PATIENCE_MS }), (opened) => opened.close());
    db.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw storeError(path, error);
    throw new AppError(
      "STORE",
      `run: nothing else must be at work in ${dir}, got a run that is — wait until it has ended, or choose another folder with --out`,
    );
  }
  return stack.move();
}

/** Whether a run is at work in the folder; one that was killed is not. */
export function isAtWork(dir: string): boolean {
  const path = join(dir, LOCK_FILE);
  if (!existsSync(path)) return false;
  using stack = new DisposableStack();
  try {
    const db = stack.adopt(new DatabaseSync(path, { readOnly: true, timeout: 0 }), (opened) => opened.close());
    db.exec("SELECT name FROM sqlite_master");
    return false;
  } catch (error) {
    return (error as { errcode?: number }).errcode === SQLITE_BUSY;
  }
}

/** @throws AppError STORE while a run is at work in the folder */
export function requireIdle(dir: string): void {
  if (existsSync(join(dir, LOCK_FILE))) lockFolder(dir)[Symbol.dispose]();
}
