/** @file Reading files of a data set, with errors that name the path. */
import type { Dirent } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { AppError } from "../errors.ts";

const gunzipAsync = promisify(gunzip);

/** Words for the system errors a user can do something about. */
const CAUSES: Readonly<Record<string, string>> = {
  ENOENT: "nothing there",
  ENOTDIR: "a file",
  EISDIR: "a directory",
  EACCES: "permission denied",
};

function causeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return CAUSES[code ?? ""] ?? message;
}

/**
 * Checks that `directory` is one.
 *
 * @param advice ends the message: what the user can do
 * @throws AppError DATA when it is missing or no directory
 */
export async function requireDirectory(directory: string, advice: string): Promise<void> {
  const found = await stat(directory).catch((error: unknown) => causeOf(error));
  if (typeof found !== "string" && found.isDirectory()) return;
  throw new AppError("DATA", `data ${directory}: must be a directory, got ${typeof found === "string" ? found : "a file"} — ${advice}`);
}

/** @throws AppError DATA when the file cannot be read */
export async function readBytes(path: string, advice: string): Promise<Uint8Array> {
  return readFile(path).catch((cause: unknown) => {
    throw new AppError("DATA", `data ${path}: must be a readable file, got ${causeOf(cause)} — ${advice}`, { cause });
  });
}

/** Decompresses gzip. @throws AppError DATA when it is truncated or damaged */
export async function unzip(path: string, bytes: Uint8Array): Promise<Uint8Array> {
  return gunzipAsync(bytes).catch((cause: Error) => {
    throw new AppError("DATA", `data ${path}: must be a complete gzip file, got ${cause.message} — fetch it again`, { cause });
  });
}

/** Whether an entry is a directory, through symbolic links. */
async function isDirectory(directory: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return stat(join(directory, entry.name)).then(
    (target) => target.isDirectory(),
    () => false,
  );
}

/** Names in a directory, sorted by code unit so that every machine sees one order; hidden entries are left out. */
export async function listDirectory(directory: string): Promise<{ folders: string[]; files: string[] }> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((cause: unknown) => {
    throw new AppError("DATA", `data ${directory}: must be a readable directory, got ${causeOf(cause)}`, { cause });
  });
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    ((await isDirectory(directory, entry)) ? folders : files).push(entry.name);
  }
  return { folders: folders.sort(), files: files.sort() };
}
