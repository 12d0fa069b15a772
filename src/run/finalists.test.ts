import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { paramSpecs } from "../graph/params.ts";
import { createBitFusion } from "../hardware/bitfusion.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { defaultRecipe, type Recipe } from "../train/recipe.ts";
import { createRng } from "../util/rng.ts";
import { runPrune } from "./prune-run.ts";

const graph = tinyNetwork();
const weights = (() => {
  using params = createParameters(paramSpecs(graph), createRng(0));
  return exportWeights(params);
})();
const recipe: Recipe = { ...defaultRecipe, schedule: "cosine", batchSize: 16, epochs: 1, lr: 0.01 };

async function prune(more: Partial<Parameters<typeof runPrune>[0]>) {
  const notes: string[] = [];
  const result = await runPrune({
    model: { graph, weights },
    source: "tiny",
    data: easyData(),
    episodes: 2,
    warmup: 1,
    distillation: false,
    baselines: false,
    config: {},
    threads: 1,
    dir: mkdtempSync(join(tmpdir(), "fettle-finalists-")),
    device: createBitFusion(),
    budgets: [{ kind: "macs", quantity: { kind: "percent", ratio: 0.8 } }],
    reward: "accuracy",
    step: 4,
    lowest: 0.2,
    recipe,
    onNote: (text) => notes.push(text),
    ...more,
  });
  return { ...result, notes };
}

test("training that diverges leaves the network as it was found", async () => {
  const { policies, card, notes } = await prune({ recipe: { ...recipe, lr: 1e20 } });
  expect(notes.slice(-2)).toEqual([
    expect.stringMatching(/^amc: training: the loss must be a number, got NaN in step \d+ — use a lower learning rate$/),
    "amc: training did not make it better, the weights from before it are kept",
  ]);
  expect(policies[0]!.tuned).toBeNull();
  expect(card.accuracy.engine ?? card.accuracy.test).toBe(policies[0]!.test);
});

test("a recipe that is made for the network is asked for once and trained by", async () => {
  const asked: number[] = [];
  const recipeFor = async (_: unknown, finalists: number, given: Recipe) => {
    asked.push(finalists);
    return { ...given, epochs: 3 };
  };
  const epochs: string[] = [];
  const onProgress = ({ total }: { readonly total: number }) => epochs.push(String(total));
  const { policies } = await prune({ recipeFor, baselines: true, onProgress });
  expect(asked).toEqual([policies.length]);
  expect(policies.length).toBeGreaterThan(1);
  expect(epochs).toContain(String(3 * 8));
});
