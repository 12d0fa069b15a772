/** @file Measured latencies on disk, one file per host, runtime and thread count. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, platform } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { writeFileAtomic } from "../util/files.ts";

/** What a latency depends on besides the operator. */
export interface HostFingerprint {
  readonly cpu: string;
  readonly cores: number;
  readonly platform: string;
  readonly onnxruntime: string;
  readonly threads: number;
}

export function hostFingerprint(threads: number): HostFingerprint {
  const require = createRequire(import.meta.url);
  const { version } = require("onnxruntime-node/package.json") as { version: string };
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    platform: `${platform()}-${process.arch}`,
    onnxruntime: version,
    threads,
  };
}

const fileSchema = z.strictObject({
  format: z.literal("fettle-latency-1"),
  host: z.strictObject({ cpu: z.string(), cores: z.number(), platform: z.string(), onnxruntime: z.string(), threads: z.number() }),
  /** Operator key → milliseconds. */
  latencyMs: z.record(z.string(), z.number().nonnegative()),
});

export interface LatencyCache {
  get(key: string): number | undefined;
  set(key: string, latencyMs: number): void;
  readonly size: number;
  /** Writes what was added; a disk that refuses is reported once through `onWarning`, and the run goes on. */
  save(): void;
}

/** Opens the host's file in `dir`. A damaged file is reported through `onWarning` and rebuilt. */
export function openLatencyCache(dir: string, host: HostFingerprint, onWarning: (message: string) => void): LatencyCache {
  const id = createHash("sha256").update(JSON.stringify(host)).digest("hex").slice(0, 12);
  const path = join(dir, `latency-${id}.json`);
  const entries = new Map<string, number>();
  if (existsSync(path)) {
    try {
      const parsed = fileSchema.parse(JSON.parse(readFileSync(path, "utf8")));
      for (const [key, ms] of Object.entries(parsed.latencyMs)) entries.set(key, ms);
    } catch {
      onWarning(`latency cache: ${path} must be a table that Fettle wrote, got damaged content — measuring again`);
    }
  }
  let isDirty = false;
  let hasWarned = false;
  return {
    get: (key) => entries.get(key),
    set: (key, ms) => {
      entries.set(key, ms);
      isDirty = true;
    },
    get size() {
      return entries.size;
    },
    save: () => {
      if (!isDirty || hasWarned) return;
      try {
        writeFileAtomic(
          path,
          `${JSON.stringify({ format: "fettle-latency-1", host, latencyMs: Object.fromEntries([...entries].sort()) }, null, 1)}\n`,
        );
        isDirty = false;
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        hasWarned = true;
        onWarning(`${error.message} — measurements will not be kept`);
      }
    },
  };
}
