import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { paramSpecs } from "../graph/params.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { defaultRecipe } from "../train/recipe.ts";
import { createRng } from "../util/rng.ts";
import { endingMs, planTuning } from "./effort.ts";
import { recipeForTime } from "./tuning.ts";

const MINUTE = 60_000;
const lrOf = (epochs: number) => 0.001 * epochs;
const data = easyData();
const recipe = { ...defaultRecipe, batchSize: 16 };

/** A clock on which everything takes 10 ms, and a run that has so much time left. */
function settingsWith(leftMs: number | null, epochs?: number) {
  let now = 0;
  const kept = new Map<string, unknown>();
  const notes: string[] = [];
  return {
    data,
    recipe,
    notes,
    clock: { nowMs: () => (now += 10), now: () => new Date(0) },
    deadline: { leftMs: () => leftMs, until: () => undefined, note: () => {}, tick: () => {} },
    stages: {
      run: () => Promise.reject(new Error("no stage is run")),
      once: async <T>(name: string, decide: () => Promise<T>): Promise<T> => {
        if (!kept.has(name)) kept.set(name, await decide());
        return kept.get(name) as T;
      },
      dirOf: (name: string) => name,
      begun: () => [],
    },
    onNote: (text: string) => notes.push(text),
    ...(epochs === undefined ? {} : { epochs }),
  };
}

test("without a limited time, and with epochs of the user, the recipe stays as it is", () => {
  expect(recipeForTime("pruned", 1, lrOf, settingsWith(null))).toBeUndefined();
  expect(recipeForTime("pruned", 1, lrOf, settingsWith(MINUTE, 3))).toBeUndefined();
});

test("what is found is trained for as many epochs as fit into the stage's share, told once, weights untouched", async () => {
  const graph = tinyNetwork();
  using params = createParameters(paramSpecs(graph), createRng(0));
  const before = exportWeights(params);
  const network = { graph, params, teacher: { graph, params } };
  const pace = { stepMs: 10, imageMs: 10 / recipe.batchSize };
  const images = { stepsPerEpoch: Math.floor(data.train.count / recipe.batchSize), validation: data.validation.count };
  const settings = settingsWith(MINUTE);
  const recipeFor = recipeForTime("specialised", 0.5, lrOf, settings)!;
  const ending = endingMs(pace, data.test.count);
  expect(planTuning(MINUTE / 2 - ending, pace, images)).toBeLessThan(planTuning(MINUTE, pace, images));
  const epochs = planTuning(MINUTE / 2 - ending, pace, images);
  expect(await recipeFor(network, 1, recipe)).toEqual({ ...recipe, epochs, lr: lrOf(epochs) });
  expect(settings.notes).toHaveLength(1);
  expect(exportWeights(params)).toEqual(before);
  const shared = recipeForTime("specialised", 0.5, lrOf, settingsWith(MINUTE))!;
  const tenth = planTuning((MINUTE / 2 - ending) / 10, pace, images);
  expect(await shared(network, 10, recipe)).toEqual({ ...recipe, epochs: tenth, lr: lrOf(tenth) });
  expect((await recipeFor(network, 10, recipe)).epochs).toBe((await recipeFor(network, 1, recipe)).epochs);
});
