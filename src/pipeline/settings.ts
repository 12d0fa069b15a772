/** @file What every stage of a run is told, and what it leaves. */
import type { DataSplits } from "../data/types.ts";
import type { Card, Constraint } from "../run/card.ts";
import type { PruneDevice } from "../run/prune-limits.ts";
import type { StageName } from "../run/stage-names.ts";
import { stepsPerEpoch } from "../train/loop.ts";
import type { Recipe } from "../train/recipe.ts";
import type { Clock } from "../util/clock.ts";
import type { OnProgress } from "../util/progress.ts";
import type { Deadline } from "./deadline.ts";
import type { Images } from "./effort.ts";
import type { CostKind } from "./limits.ts";
import type { Stages } from "./stages.ts";

export interface StageSettings {
  readonly data: DataSplits;
  readonly device: PruneDevice;
  /** Of training from scratch; the epochs are planned. */
  readonly recipe: Recipe;
  /** Highest learning rate of a model that is trained already, instead of each stage's own. */
  readonly tuneLr?: number;
  /** Folder of the run. */
  readonly dir: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Instead of the defaults or of what the time allows. */
  readonly episodes?: number;
  readonly epochs?: number;
  readonly distillation: boolean;
  readonly baselines: boolean;
  readonly threads: number;
  readonly stages: Stages;
  readonly deadline: Deadline;
  readonly clock: Clock;
  /** A stage has something to save: what the run replaces may go. */
  readonly onBegun: () => void;
  /** Of the user. */
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
  readonly onNote: (text: string) => void;
}

/** What a stage left in its folder. */
export interface StageOutcome {
  readonly stage: StageName;
  readonly card: Card;
  readonly constraints: readonly Constraint[];
  /** Test accuracy of the model that the stage began with, or of the network that sub-nets are part of, 0…1. */
  readonly originalTest: number;
  readonly isCancelled: boolean;
}

/** A limit of the run in its kind's unit, with what the model costs before any stage where there is one. */
export interface AbsoluteLimit {
  readonly kind: CostKind;
  readonly limit: number;
  readonly now?: number;
}
/** What a way through the stages comes to. */
export interface Route {
  readonly costs: readonly AbsoluteLimit[];
  /** In order; the last is the run's. None when the model met the limits as it was. */
  readonly outcomes: readonly StageOutcome[];
}

/** Counts that a plan needs. */
export const imagesOf = ({ data, recipe }: Pick<StageSettings, "data" | "recipe">): Images => ({
  stepsPerEpoch: stepsPerEpoch(data.train.count, recipe.batchSize),
  validation: data.validation.count,
});

/** What the runs of all stages are given alike. */
export function commonOptions({ recipe, config, signal, onProgress, ...rest }: StageSettings, stage: StageName) {
  const { time, ...lasting } = config; // a run may be gone on with in another time
  return {
    recipe,
    config: { ...lasting, stage },
    distillation: rest.distillation,
    threads: rest.threads,
    clock: rest.clock,
    onNote: rest.onNote,
    onStart: rest.onBegun,
    ...(signal ? { signal } : {}),
    ...(onProgress ? { onProgress } : {}),
  };
}
