/** @file `fettle optimize`: from images, or from a model, to a model that meets every limit, with a report. */
import { join } from "node:path";
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import { requireComputable } from "../graph/opaque.ts";
import { reportHtml } from "../report/report.ts";
import { readRunData } from "../report/run-data.ts";
import type { Card, Constraint } from "../run/card.ts";
import { withParameters } from "../run/compression-steps.ts";
import { deploy } from "../run/deploy.ts";
import { openRunFolder, type RunFolder } from "../run/folder.ts";
import type { JointDescription } from "../run/joint-folder.ts";
import type { OpenedModel } from "../run/model-file.ts";
import type { PruneDevice } from "../run/prune-limits.ts";
import { bringBack, setAside } from "../run/replace.ts";
import { requireSameRun } from "../run/resume.ts";
import { STAGES_FILE, type StageName } from "../run/stage-names.ts";
import type { SpaceDescription } from "../space/description.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import type { Recipe } from "../train/recipe.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { OnProgress } from "../util/progress.ts";
import { compress } from "./compress.ts";
import { createDeadline } from "./deadline.ts";
import type { Limits } from "./limits.ts";
import { constraintsOf, keepOutcome, timedForLimits } from "./outcome.ts";
import type { Route, StageSettings } from "./settings.ts";
import { specialise } from "./specialise.ts";
import { staged } from "./staged.ts";
import { createStages } from "./stages.ts";

/** Without a model: a joint search (auto), or one stage after the other. */
export type OptimizeMethod = "auto" | "joint" | "pipeline";

export interface OptimizeRunOptions {
  /** null: one is searched. */
  readonly model: OpenedModel | null;
  /** Its normalisation must be the one that the model was trained with. */
  readonly data: DataSplits;
  /** How the images can be loaded again. */
  readonly source: JointDescription["data"];
  readonly device: PruneDevice;
  readonly limits: Limits;
  readonly method: OptimizeMethod;
  readonly elasticSpace: ElasticSpace;
  readonly space: SpaceDescription;
  /** For all stages; null: as much as their defaults take. */
  readonly timeMs: number | null;
  /** When the time began to run, on the clock (default: when the stages begin). */
  readonly startedMs?: number;
  /** Of training from scratch; the epochs are planned. */
  readonly recipe: Recipe;
  /** Highest learning rate of a model that is trained already, instead of each stage's own. */
  readonly tuneLr?: number;
  readonly episodes?: number;
  readonly epochs?: number;
  readonly distillation: boolean;
  readonly baselines: boolean;
  readonly threads: number;
  readonly dir: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** A stage begins. */
  readonly onStage?: (name: StageName, dir: string) => void;
  readonly onProgress?: OnProgress;
  readonly onNote?: (text: string) => void;
  readonly clock?: Clock;
}

export interface OptimizeRunResult {
  readonly card: Card;
  readonly constraints: readonly Constraint[];
  /** In the order in which they ran; none when the model met the limits as it was. */
  readonly stages: readonly StageName[];
  /** Test accuracy of the model that was given, 0…1; null without one. */
  readonly originalTest: number | null;
  readonly isCancelled: boolean;
}

/** Whether a stage decides by episodes, and can train rules of thumb beside. */
const isByEpisodes = (name: StageName): boolean => ["pruned", "quantized", "pruned-alone", "packed"].includes(name);

/** Settings that may differ when a run is gone on with. */
const MAY_DIFFER = ["time"] as const;

function routeOf(options: OptimizeRunOptions, settings: StageSettings): Promise<Route> {
  const { model, method, limits, space, elasticSpace, source } = options;
  if (model) {
    requireComputable(model.model.graph, model.path);
    return compress(model, limits.costs, settings);
  }
  if (method === "pipeline") return staged(space, limits.costs, settings);
  return specialise({ space: elasticSpace, source }, limits.costs, settings);
}

/** Runs the stages; everything is kept in the folder. @throws AppError CONFIG, INFEASIBLE, NOT_REACHED, DATA, ONNX, STORE */
export async function runOptimize(options: OptimizeRunOptions): Promise<OptimizeRunResult> {
  const { model, device, limits, method, dir, config, resume = false, signal, clock = systemClock } = options;
  if (model && method === "joint")
    throw new AppError("CONFIG", `optimize: --method joint must be used without a model, got ${model.path} — leave one of them out`);
  if (resume) requireSameRun(dir, config, MAY_DIFFER);
  const replaced = resume ? null : setAside(dir);
  using folder = openRunFolder(dir, config, clock);
  /** Until a stage has something to save, the folder is as it was before whatever ends the run. */
  const undo = () => {
    if (resume) return;
    folder.discard();
    bringBack(dir);
  };
  let isBegun = resume;
  process.once("exit", undo);
  const onBegun = () => {
    isBegun = true;
    process.off("exit", undo);
    replaced?.remove();
  };
  const { timeMs, startedMs = clock.nowMs() } = options;
  const deadline = createDeadline({ timeMs, folder, resume, clock, startedMs });
  const stages = createStages({ folder, deadline, resume, ...(signal ? { signal } : {}), onStage: options.onStage ?? (() => {}) });
  const onProgress: OnProgress = (event) => {
    deadline.tick();
    options.onProgress?.(event);
  };
  const settings: StageSettings = { ...options, stages, deadline, clock, onBegun, onProgress, onNote: options.onNote ?? (() => {}) };
  let route: Route;
  let card: Card;
  try {
    route = await routeOf(options, settings);
    card = route.outcomes.at(-1)?.card ?? (await asItIs(options, folder));
  } catch (error) {
    process.off("exit", undo);
    if (!isBegun) undo();
    throw error;
  }
  onBegun();
  const isCancelled = signal?.aborted === true;
  const last = route.outcomes.at(-1);
  const modelDir = last ? stages.dirOf(last.stage) : dir;
  card = await timedForLimits(card, join(modelDir, "model.onnx"), route.costs, device);
  const constraints = constraintsOf(route, card, limits.accuracyDrop, device);
  const kept = keepOutcome(folder, modelDir, card, constraints);
  const names = stages.begun();
  const unused = [...(options.episodes === undefined ? [] : ["episodes"]), ...(options.baselines ? ["baselines"] : [])];
  if (unused.length > 0 && !names.some(isByEpisodes))
    settings.onNote(
      `${unused.join(" and ")}: only pruning and quantisation have them, and neither was needed; fettle joint compare trains other routes beside a joint search`,
    );
  folder.writeJson(STAGES_FILE, { stages: names, isCancelled });
  folder.log({ type: "done", accuracy: kept.accuracy, constraints });
  writeFileAtomic(folder.path("report.html"), reportHtml(readRunData(dir)));
  if (!isCancelled) folder.finish();
  const originalTest = model ? (route.outcomes[0]?.originalTest ?? kept.accuracy.test) : null;
  return { card: kept, constraints, stages: names, originalTest, isCancelled };
}

/** The model that was given, which meets the limits: exported and measured. */
function asItIs({ model, data, recipe, threads }: OptimizeRunOptions, folder: RunFolder): Promise<Card> {
  const { graph } = model!.model;
  return withParameters(model!.model, (params) => deploy({ graph, params, data, folder, seed: recipe.seed, threads }));
}
