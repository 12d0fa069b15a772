/** @file Writing files so that nothing is lost. */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import writeFile from "write-file-atomic";
import { AppError } from "../errors.ts";

const CAUSES: Readonly<Record<string, string>> = {
  ENOSPC: "a full disk — free some space",
  EROFS: "a read-only file system — choose another folder",
  EACCES: "no permission — choose another folder",
  EPERM: "no permission — choose another folder",
  ENOTDIR: "a file where a folder is needed — choose another folder",
  EISDIR: "a folder where a file is needed — choose another name",
};

function storeError(path: string, error: unknown): AppError {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return new AppError("STORE", `write: ${path} must be writable, got ${CAUSES[code] ?? message}`, { cause: error });
}

/** @throws AppError STORE naming the path and the cause */
export function ensureDir(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw storeError(path, error);
  }
}

/**
 * Replaces a file in one step (temporary file, fsync, rename): whoever reads it sees the old content or the new one, and a crash
 * leaves the old one.
 * @throws AppError STORE naming the path and the cause
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  ensureDir(dirname(path));
  try {
    writeFile.sync(path, typeof data === "string" ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  } catch (error) {
    throw storeError(path, error);
  }
}
