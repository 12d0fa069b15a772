/** @file Going on with a run: only what cannot change its course may differ from how it was begun. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { bringBack } from "./replace.ts";

/** How the chosen policy is trained after a search, and how long the search goes on. */
const AFTER_THE_SEARCH = [
  "recipe",
  "episodes",
  "baselines",
  "epochs",
  "lr",
  "optimizer",
  "schedule",
  "weightDecay",
  "labelSmoothing",
  "ema",
  "distillation",
] as const;

/** What says how a run is called, not what it computes. */
const HOW_IT_IS_CALLED = ["argv", "out"] as const;

/** Fingerprints of what a run begins with; older versions wrote down fewer. */
const isFingerprint = (key: string): boolean => key.endsWith("Sha256");

/** JSON that an interrupted run has written; null when it had not come so far, or when the run is a new one. */
export function readKept<T>(dir: string, name: string, { resume }: { readonly resume?: boolean }): T | null {
  const path = join(dir, name);
  return resume && existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as T) : null;
}

type Config = Readonly<Record<string, unknown>>;
const text = (value: unknown): string => JSON.stringify(value) ?? "nothing";

/**
 * Checks that a run in `dir` can be gone on with: what was computed then must be what would be computed now.
 * @throws AppError CONFIG when nothing was begun there, or with other settings
 */
export function requireSameRun(dir: string, config: unknown, mayDiffer: readonly string[] = AFTER_THE_SEARCH): void {
  bringBack(dir);
  const path = join(dir, "config.json");
  if (!existsSync(path))
    throw new AppError("CONFIG", `resume: ${dir} must hold a run that was begun, got no config.json — leave out --resume`);
  const before = JSON.parse(readFileSync(path, "utf8")) as Config;
  const now = JSON.parse(JSON.stringify(config)) as Config;
  const free: ReadonlySet<string> = new Set([...mayDiffer, ...HOW_IT_IS_CALLED]);
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (isFingerprint(key) && before[key] === undefined) continue;
    if (free.has(key) || text(before[key]) === text(now[key])) continue;
    throw new AppError(
      "CONFIG",
      `resume: ${key} must be ${text(before[key])} as when ${dir} was begun, got ${text(now[key])} — or begin another run with --out`,
    );
  }
}
