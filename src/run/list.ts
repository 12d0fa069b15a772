/** @file Which runs there are, and what came of them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../errors.ts";
import type { Card } from "./card.ts";
import { isAtWork } from "./lock.ts";
import { COMPARISON, STAGE_NAMES, STAGES_FILE } from "./stage-names.ts";
import { begunAt, readState } from "./state.ts";

export interface RunSummary {
  readonly dir: string;
  readonly command: string;
  readonly data: string;
  /** UTC, ISO 8601. */
  readonly begun: string;
  /** False while it runs, and after it was interrupted. */
  readonly isFinished: boolean;
  /** A process is at work in it now. */
  readonly isRunning: boolean;
  /** Of the best that was saved; null when there is nothing yet. */
  readonly card: Card | null;
  /** The command line that began it; empty for runs of the library. */
  readonly argv: readonly string[];
}

function readJson(path: string): Record<string, unknown> | null {
  if (!existsSync(path)) return null;
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  } catch {
    return null; // no run's
  }
}

/** Of an older version, which did not write it down: whether a run of several stages or routes came to its end; undefined for one of those. */
const IS_ENDED: Readonly<Record<string, (dir: string, config: Record<string, unknown>) => boolean | undefined>> = {
  optimize: (dir, config) => ("stage" in config ? undefined : readJson(join(dir, STAGES_FILE))?.isCancelled === false),
  "joint compare": (dir) => (existsSync(join(dir, COMPARISON)) ? readJson(join(dir, COMPARISON))?.isFinished === true : undefined),
};

function seemsFinished(dir: string, config: Record<string, unknown>): boolean {
  const has = (file: string) => existsSync(join(dir, file));
  return IS_ENDED[`${config.command}`]?.(dir, config) ?? ((has("card.json") || has("joint.json")) && !has("checkpoints"));
}

/** @throws AppError CONFIG for a folder that holds no run */
export function summariseRun(dir: string): RunSummary {
  const config = readJson(join(dir, "config.json"));
  if (!config || typeof config.command !== "string")
    throw new AppError("CONFIG", `runs: ${dir} must be the folder of a run, got no config.json of one`);
  const card = readJson(join(dir, "card.json")) as Card | null;
  return {
    dir,
    command: config.command,
    data: `${config.data ?? ""}`,
    begun: begunAt(dir)!,
    isFinished: readState(dir)?.isFinished ?? seemsFinished(dir, config),
    isRunning: isAtWork(dir),
    card,
    argv: Array.isArray(config.argv) ? config.argv.map(String) : [],
  };
}

const DEPTH = 3;

/** The runs in `root` and in folders within it, the newest first; the stages and routes of a run are not told apart from it. */
export function listRuns(root: string, depth: number = DEPTH): RunSummary[] {
  if (!existsSync(root)) return [];
  const config = readJson(join(root, "config.json"));
  const own = typeof config?.command === "string" ? [summariseRun(root)] : [];
  const isPart = (name: string) =>
    (config?.command === "optimize" && (STAGE_NAMES as readonly string[]).includes(name)) || existsSync(join(root, COMPARISON));
  const folders =
    depth === 0 ? [] : readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory() && !isPart(entry.name));
  const within = folders.flatMap(({ name }) => listRuns(join(root, name), depth - 1));
  return [...own, ...within].sort((a, b) => Number(b.begun > a.begun) - Number(b.begun < a.begun));
}
