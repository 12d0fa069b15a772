/** @file Training of what a stage found: as many epochs as its time allows, once there is a network whose steps can be timed. */
import type { FineTuneOptions } from "../run/compression-steps.ts";
import type { StageName } from "../run/stage-names.ts";
import { endingMs, planTuning } from "./effort.ts";
import { paceOf } from "./pace.ts";
import { imagesOf, type StageSettings } from "./settings.ts";

type Timing = Pick<StageSettings, "data" | "recipe" | "deadline" | "stages" | "clock" | "epochs" | "onNote">;

/**
 * @param share of what is left of the time, which the stage has @param lrOf the highest learning rate for so many epochs
 * @returns undefined without a limited time, and where the user gave the epochs
 */
export function recipeForTime(
  stage: StageName,
  share: number,
  lrOf: (epochs: number) => number,
  settings: Timing,
): FineTuneOptions["recipeFor"] {
  const { data, deadline, stages, clock, epochs: given, onNote } = settings;
  const left = deadline.leftMs();
  if (left === null || given !== undefined) return undefined;
  const laterMs = (1 - share) * left;
  return async (network, finalists, recipe) => {
    const epochs = await stages.once(`epochs of ${stage}`, async () => {
      const pace = paceOf(network, data, recipe.batchSize, clock);
      const timeMs = (deadline.leftMs() ?? 0) - laterMs - endingMs(pace, data.test.count);
      return planTuning(timeMs / finalists, pace, imagesOf(settings));
    });
    onNote(`epochs of training what is found: ${epochs}`);
    return { ...recipe, epochs, lr: lrOf(epochs) };
  };
}
