/** @file Going on with a run: only what cannot change its course may differ from how it was begun. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { AppError } from "../errors.ts";
import { STAGE_NAMES, STAGES_FILE } from "./stage-names.ts";
import { STORE_FILE } from "./store.ts";

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

/** What a run has worked for. */
const RESULTS = [
  "model.onnx",
  "weights.safetensors",
  "checkpoint.safetensors",
  "supernet.safetensors",
  "search.safetensors",
  "policy.json",
  "compare.json",
  STORE_FILE,
] as const;
/** Files of a run that another run in the same folder must not go on with. */
const OF_ONE_RUN = [
  STORE_FILE,
  `${STORE_FILE}-wal`,
  `${STORE_FILE}-shm`,
  "artefacts",
  "checkpoint.safetensors",
  "checkpoints",
  "supernet.safetensors",
  "search.safetensors",
  "costs.json",
  "found.json",
  "teacher.safetensors",
  "predictor-float.safetensors",
  "predictor.safetensors",
  "joint.json",
  "policies.json",
  "model.onnx",
  "weights.safetensors",
  "card.json",
  "policy.json",
  "layers.json",
  "frontier.json",
  "bits.svg",
  "quantized.onnx",
  "report.html",
  STAGES_FILE,
  ...STAGE_NAMES,
] as const;

const isTaken = (dir: string): boolean => RESULTS.some((file) => existsSync(join(dir, file)));

export interface FreeFolderOptions {
  readonly overwrite?: boolean;
  /** File of the model that the run begins with. */
  readonly model?: string | undefined;
}

const ASIDE = ".replaced";
const REMOVED = ".removed";

/** Brings a run back that was set aside for one that never began, whatever ended that. */
export function bringBack(dir: string): void {
  const aside = join(dir, ASIDE);
  if (!existsSync(aside)) return;
  for (const file of OF_ONE_RUN) rmSync(join(dir, file), { recursive: true, force: true });
  for (const file of readdirSync(aside)) {
    rmSync(join(dir, file), { recursive: true, force: true });
    renameSync(join(aside, file), join(dir, file));
  }
  rmSync(aside, { recursive: true, force: true });
}

/** @throws AppError CONFIG when the folder holds a run that may not be overwritten, or the model that the new run begins with */
export function requireFreeFolder(dir: string, { overwrite = false, model }: FreeFolderOptions = {}): void {
  if (model !== undefined && resolve(dirname(model)) === resolve(dir))
    throw new AppError("CONFIG", `run: --out must be another folder than that of the model, got ${dir}`);
  bringBack(dir);
  if (!overwrite && isTaken(dir))
    throw new AppError(
      "CONFIG",
      `run: ${dir} must be a new folder, got one that holds a run — choose another with --out, or give --overwrite`,
    );
}

/** Removes the run that a folder holds: when another can begin, and not before. */
export function clearFolder(dir: string): void {
  for (const file of isTaken(dir) ? OF_ONE_RUN : []) rmSync(join(dir, file), { recursive: true, force: true });
}

/**
 * Moves the run that a folder holds out of the way until it is known whether the new one can begin: then it is to be removed, else
 * `bringBack` undoes it, now or when the folder is used next.
 */
export function setAside(dir: string): { remove(): void } {
  bringBack(dir);
  const [aside, removed] = [join(dir, ASIDE), join(dir, REMOVED)];
  if (isTaken(dir)) {
    mkdirSync(aside);
    const moved = [...OF_ONE_RUN, "config.json"].filter((file) => existsSync(join(dir, file)));
    for (const file of moved) renameSync(join(dir, file), join(aside, file));
  }
  return {
    remove: () => {
      // in one step: of what is removed by halves nothing must come back
      rmSync(removed, { recursive: true, force: true });
      if (existsSync(aside)) renameSync(aside, removed);
      rmSync(removed, { recursive: true, force: true });
    },
  };
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
    if (free.has(key) || text(before[key]) === text(now[key])) continue;
    throw new AppError(
      "CONFIG",
      `resume: ${key} must be ${text(before[key])} as when ${dir} was begun, got ${text(now[key])} — or begin another run with --out`,
    );
  }
}
