/** @file Writing files so that nothing is lost. */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { AppError } from "../errors.ts";

const CAUSES: Readonly<Record<string, string>> = {
  ENOSPC: "a full disk — free some space",
  EROFS: "a read-only file system — choose another folder",
  EACCES: "no permission — choose another folder",
  EPERM: "no permission — choose another folder",
  ENOTDIR: "a file where a folder is needed — choose another folder",
  EEXIST: "a file where a folder is needed — choose another folder",
  EISDIR: "a folder where a file is needed — choose another name",
};

/** An error of the file system as one line for the user. */
export function storeError(path: string, error: unknown): AppError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return new AppError("STORE", `write: ${path} must be writable, got ${CAUSES[code] ?? message}`, { cause: error });
}

/** @throws AppError STORE naming the path and the cause */
export function ensureDir(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw storeError(path, mkdirCause(path, error));
  }
}

/** Making folders at one go hides why it failed behind ENOENT: making one tells. */
function mkdirCause(path: string, error: unknown): unknown {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") return error;
  let first = path;
  while (!existsSync(dirname(first)) && dirname(first) !== first) first = dirname(first);
  try {
    mkdirSync(first);
    return error;
  } catch (cause) {
    return cause;
  }
}

/**
 * Replaces a file in one step (temporary file, fsync, rename): whoever reads it sees the old content or the new one, and a crash
 * or a full disk leaves the old one. Our own because write-file-atomic 8 takes a short write of `writeSync`, which is what a disk
 * gives that fills up, for a whole one.
 * @throws AppError STORE naming the path and the cause
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  ensureDir(dirname(path));
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, "w");
    try {
      writeFileSync(file, data);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw storeError(path, error);
  }
}
