import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { paramSpecs } from "../graph/params.ts";
import { createBitFusion } from "../hardware/bitfusion.ts";
import { tinySpace } from "../joint/fixtures.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import { defaultRecipe } from "../train/recipe.ts";
import { createRng } from "../util/rng.ts";
import { runJointSearch } from "./joint-search-run.ts";
import { runPrune } from "./prune-run.ts";
import { runQuantize } from "./quantize-run.ts";
import { runSparsePrune } from "./sparse-run.ts";

const newFolder = () => mkdtempSync(join(tmpdir(), "fettle-few-"));
const data = easyData();
const graph = tinyNetwork();
using params = createParameters(paramSpecs(graph), createRng(0));
const half = { kind: "percent", ratio: 0.5 } as const;
const common = {
  model: { graph, weights: exportWeights(params) },
  source: "tiny",
  data,
  episodes: 2,
  warmup: 1,
  recipe: { ...defaultRecipe, batchSize: 1000 },
  distillation: false,
  baselines: false,
  config: {},
  threads: 1,
};

function supernet(): string {
  const dir = newFolder();
  const { classes } = data.train;
  const description = {
    data: { name: "halves", splitSeed: 0, validation: 0.1 },
    classes,
    normalisation: data.normalisation,
    space: tinySpace,
  };
  writeFileSync(join(dir, "joint.json"), JSON.stringify(description));
  writeFileSync(join(dir, "predictor-float.safetensors"), "");
  return dir;
}

test.each([
  [
    "prune",
    (dir: string) =>
      runPrune({
        ...common,
        dir,
        device: createBitFusion(),
        budgets: [{ kind: "macs", quantity: half }],
        reward: "accuracy",
        step: 8,
        lowest: 0.2,
      }),
  ],
  ["prune --fine-grained", (dir: string) => runSparsePrune({ ...common, dir, size: half })],
  [
    "quantize",
    (dir: string) =>
      runQuantize({
        ...common,
        dir,
        device: createBitFusion(),
        budgets: [{ kind: "latency", quantity: half }],
        bits: { lowest: 2, highest: 8 },
        scheme: "linear",
        calibration: "mse",
        shortTune: SHORT_TUNE,
      }),
  ],
  [
    "joint search",
    (dir: string) =>
      runJointSearch({
        ...common,
        dir,
        supernetDir: supernet(),
        device: createBitFusion(),
        budgets: [{ kind: "latency", quantity: half }],
      }),
  ],
] as const)("%s with fewer images than a batch leaves the run that it was to replace", async (_, run) => {
  const dir = newFolder();
  writeFileSync(join(dir, "model.onnx"), "old");
  await expect(run(dir)).rejects.toThrow(/training images must fill at least one batch of 1000, got 128/);
  expect(readFileSync(join(dir, "model.onnx"), "utf8")).toBe("old");
});
