/** @file A run in the place of another: what of the old one goes, and when. */
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { AppError } from "../errors.ts";
import { requireIdle } from "./lock.ts";
import { COMPARISON, folderOfRoute, ROUTE_NAMES, STAGE_NAMES, STAGES_FILE } from "./stage-names.ts";
import { STATE_FILE } from "./state.ts";
import { STORE_FILE } from "./store.ts";

/** What a run has worked for. */
const RESULTS = [
  "model.onnx",
  "weights.safetensors",
  "checkpoint.safetensors",
  "supernet.safetensors",
  "search.safetensors",
  "policy.json",
  COMPARISON,
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
  "space.json",
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
/** What the very beginning of a run writes. */
const BEGINNING = ["config.json", STATE_FILE] as const;

const isTaken = (dir: string): boolean => RESULTS.some((file) => existsSync(join(dir, file)));

/** What goes when the run in `dir` is replaced. Folders named as routes are a comparison's alone; its own file goes last, since it tells so. */
const filesOfRun = (dir: string): readonly string[] => [
  ...OF_ONE_RUN,
  ...(existsSync(join(dir, COMPARISON)) ? [...ROUTE_NAMES.map(folderOfRoute), COMPARISON] : []),
];

function removeFiles(dir: string, files: readonly string[]): void {
  for (const file of files) rmSync(join(dir, file), { recursive: true, force: true });
}

const real = (path: string): string => (existsSync(path) ? realpathSync(path) : resolve(path));

/** @throws AppError CONFIG when a run in `dir` would replace the file that it begins with */
export function requireElsewhere(dir: string, model: string): void {
  const within = relative(real(dir), real(model)).split(sep);
  if (within[0] === ".." || (within.length > 1 && !filesOfRun(dir).includes(within[0]!))) return;
  throw new AppError("CONFIG", `run: --out must be another folder than that of the model, got ${dir} with ${within.join("/")} in it`);
}

export interface FreeFolderOptions {
  readonly overwrite?: boolean;
  /** File of the model that the run begins with. */
  readonly model?: string | undefined;
}

/** @throws AppError CONFIG when the folder holds a run that may not be overwritten, or the model that the new run begins with */
export function requireFreeFolder(dir: string, { overwrite = false, model }: FreeFolderOptions = {}): void {
  bringBack(dir);
  if (model !== undefined) requireElsewhere(dir, model);
  if (!overwrite && isTaken(dir))
    throw new AppError(
      "CONFIG",
      `run: ${dir} must be a new folder, got one that holds a run — choose another with --out, or give --overwrite`,
    );
}

/** Removes the run that a folder holds: when another can begin, and not before. @throws AppError STORE while one is at work in it */
export function clearFolder(dir: string): void {
  requireIdle(dir);
  removeFiles(dir, isTaken(dir) ? [...filesOfRun(dir), ...BEGINNING] : BEGINNING);
}

/** Where an old run is on its way out or back: nothing of a new one is in the folder then. */
const MOVING = ".replacing";
/** Where an old run is as a whole. */
const ASIDE = ".replaced";
const REMOVED = ".removed";

/** Brings a run back that was set aside for one that never began, whatever ended that, at any moment. @throws AppError STORE while one is at work in the folder */
export function bringBack(dir: string): void {
  requireIdle(dir);
  const [moving, aside] = [join(dir, MOVING), join(dir, ASIDE)];
  if (existsSync(aside)) {
    removeFiles(dir, [...filesOfRun(dir), ...BEGINNING]);
    renameSync(aside, moving);
  }
  if (!existsSync(moving)) return;
  for (const file of readdirSync(moving)) renameSync(join(moving, file), join(dir, file));
  rmSync(moving, { recursive: true, force: true });
}

/**
 * Moves the run that a folder holds out of the way until it is known whether the new one can begin: then it is to be removed, else
 * `bringBack` undoes it, now or when the folder is used next.
 */
export function setAside(dir: string): { remove(): void } {
  bringBack(dir);
  const [moving, aside, removed] = [MOVING, ASIDE, REMOVED].map((name) => join(dir, name)) as [string, string, string];
  if (isTaken(dir)) {
    const files = [...filesOfRun(dir), ...BEGINNING].filter((file) => existsSync(join(dir, file)));
    mkdirSync(moving);
    for (const file of files) renameSync(join(dir, file), join(moving, file));
    renameSync(moving, aside);
  } else removeFiles(dir, BEGINNING);
  return {
    remove: () => {
      // in one step: of what is removed by halves nothing must come back
      rmSync(removed, { recursive: true, force: true });
      if (existsSync(aside)) renameSync(aside, removed);
      rmSync(removed, { recursive: true, force: true });
    },
  };
}
