import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { paramSpecs } from "../graph/params.ts";
import { createBitFusion } from "../hardware/bitfusion.ts";
import { tinySpace } from "../joint/fixtures.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { mobileNetSpace } from "../space/description.ts";
import { defaultRecipe } from "../train/recipe.ts";
import { createRng } from "../util/rng.ts";
import { runOptimize } from "./optimize-run.ts";

/** A network that meets the limit as it is, but gives no numbers. */
function optimizeBroken(dir: string) {
  const graph = tinyNetwork();
  using params = createParameters(paramSpecs(graph), createRng(0));
  const weights = exportWeights(params);
  weights.get("classifier.bias")!.data.fill(Number.NaN);
  return runOptimize({
    model: {
      model: { graph, weights },
      path: "broken.onnx",
      trainedWith: { normalisation: null, classes: null, splitSeed: null },
      bits: new Map(),
    },
    data: easyData(),
    source: { name: "halves", splitSeed: 0, validation: 0.1 },
    device: createBitFusion(),
    limits: { costs: [{ kind: "macs", quantity: { kind: "absolute", value: 1e9 } }], accuracyDrop: null },
    method: "auto",
    elasticSpace: tinySpace,
    space: mobileNetSpace({ input: [3, 16, 16], classes: 2, width: 0.5 }),
    timeMs: null,
    recipe: { ...defaultRecipe, batchSize: 32 },
    distillation: false,
    baselines: false,
    threads: 1,
    dir,
    config: { command: "optimize" },
  });
}

test("a run stays when the model that is to replace it as it is cannot be deployed", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fettle-optimize-"));
  const files = ["card.json", "config.json", "model.onnx", "run.db"];
  for (const file of files) writeFileSync(join(dir, file), "old");
  await expect(optimizeBroken(dir)).rejects.toThrow(/the network must give numbers, got NaN/);
  expect(readdirSync(dir).sort()).toEqual(files);
  for (const file of files) expect(readFileSync(join(dir, file), "utf8")).toBe("old");
});
