/** @file Bytes worked out from files, kept in the user's cache folder: decoding a folder of images takes longer than most commands. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "../util/clock.ts";
import { ensureDir, writeFileAtomic } from "../util/files.ts";

export interface DecodedCache {
  /** null: nothing is kept. */
  readonly dir: string | null;
  /** What took less time than this to work out is worked out again, ms (default 2,000). */
  readonly worthMs?: number;
  /** All that is kept, bytes (default 2 GB); what was not used for longest goes first. */
  readonly mostBytes?: number;
  readonly clock?: Clock;
}

const WORTH_MS = 2000;
const MOST_BYTES = 2e9;
/** Free space that is left to others, bytes. */
const SPARE_BYTES = 5e9;

/** Changes with a file's path, size or time of change. null when a file cannot be looked at. */
function keyOf(what: unknown, paths: readonly string[]): string | null {
  const hash = createHash("sha256").update(JSON.stringify(what));
  try {
    for (const path of paths) {
      const { size, mtimeMs } = statSync(path);
      hash.update(`\n${path}\0${size}\0${mtimeMs}`);
    }
  } catch {
    return null;
  }
  return hash.digest("hex");
}

/** The bytes kept under a name, unless there are not as many as there should be. */
function readKept(path: string, length: number, now: Date): Uint8Array | null {
  if (!existsSync(path) || statSync(path).size !== length) return null;
  utimesSync(path, now, now);
  return readFileSync(path);
}

function makeRoom(dir: string, bytes: number, mostBytes: number): void {
  const entries = readdirSync(dir).map((name) => {
    const path = join(dir, name);
    const { size, mtimeMs } = statSync(path);
    return { path, size, mtimeMs };
  });
  let total = bytes + entries.reduce((sum, { size }) => sum + size, 0);
  for (const { path, size } of entries.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (total <= mostBytes) return;
    rmSync(path, { force: true });
    total -= size;
  }
}

function keep(dir: string, path: string, bytes: Uint8Array, mostBytes: number): void {
  ensureDir(dir);
  const { bavail, bsize } = statfsSync(dir);
  if (bytes.length > mostBytes / 2 || Number(bavail) * Number(bsize) < bytes.length + SPARE_BYTES) return;
  makeRoom(dir, bytes.length, mostBytes);
  writeFileAtomic(path, bytes);
}

/**
 * Fills `into` by `make`, or with what `make` once made of the same files. A cache that cannot be read or written is done without.
 *
 * @param what everything besides the files that `make` depends on
 * @returns whether it was kept
 */
export async function fillOnce(
  { dir, worthMs = WORTH_MS, mostBytes = MOST_BYTES, clock = systemClock }: DecodedCache,
  { what, paths }: { readonly what: unknown; readonly paths: readonly string[] },
  into: Uint8Array,
  make: () => Promise<void>,
): Promise<boolean> {
  const key = dir === null ? null : keyOf(what, paths);
  if (dir === null || key === null) {
    await make();
    return false;
  }
  const folder = join(dir, "decoded");
  const path = join(folder, key);
  const quietly = <T>(work: () => T): T | null => {
    try {
      return work();
    } catch {
      return null;
    }
  };
  const kept = quietly(() => readKept(path, into.length, clock.now()));
  if (kept) {
    into.set(kept);
    return true;
  }
  const started = clock.nowMs();
  await make();
  if (clock.nowMs() - started >= worthMs) quietly(() => keep(folder, path, into, mostBytes));
  return false;
}
