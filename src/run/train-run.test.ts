import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { easyData, tinyNetwork } from "../../test/support.ts";
import { defaultRecipe } from "../train/recipe.ts";
import { summariseRun } from "./list.ts";
import { type TrainRunOptions, trainNetwork } from "./train-run.ts";

const newFolder = () => mkdtempSync(join(tmpdir(), "fettle-train-"));
const recipe = { ...defaultRecipe, epochs: 2, batchSize: 32, lr: 0.05, augmentation: null };
const train = (dir: string, more: Partial<TrainRunOptions> = {}) =>
  trainNetwork({ net: tinyNetwork(), data: easyData(), recipe, dir, config: { command: "train" }, ...more });

test("a run stays as it is when the one that is to replace it cannot begin, also as its teacher", async () => {
  const dir = newFolder();
  await train(dir);
  const files = ["model.onnx", "weights.safetensors", "card.json"].map((file) => join(dir, file));
  const before = files.map((file) => readFileSync(file, "utf8"));
  const withoutWeights = newFolder();
  writeFileSync(join(withoutWeights, "model.onnx"), "");
  await expect(train(dir, { teacherDir: withoutWeights })).rejects.toThrow(/weights.safetensors: must exist, got no such file/);
  await expect(train(dir, { recipe: { ...recipe, batchSize: 1000 } })).rejects.toThrow(/must fill at least one batch of 1000, got 128/);
  await expect(train(dir, { teacherDir: dir })).rejects.toThrow(
    /run: --out must be another folder than that of the model, got .* with weights.safetensors in it/,
  );
  expect(files.map((file) => readFileSync(file, "utf8"))).toEqual(before);
  const next = newFolder();
  await train(next, { teacherDir: dir });
  expect(existsSync(join(next, "model.onnx"))).toBe(true);
});

test("a training that was interrupted in its first epoch is gone on with from its beginning, and then replaced", async () => {
  const dir = newFolder();
  const { isCancelled } = await train(dir, { signal: AbortSignal.abort() });
  expect([isCancelled, summariseRun(dir).isFinished]).toEqual([true, false]);
  const { reports, ...rest } = await train(dir, { resume: true });
  expect([reports.length, rest.isCancelled]).toEqual([2, false]);
  expect(summariseRun(dir).isFinished).toBe(true);
  await expect(train(dir, { resume: true, config: { command: "train", net: "other" } })).rejects.toThrow("resume: net must be nothing");
  expect((await train(dir, { recipe: { ...recipe, epochs: 1 } })).reports).toHaveLength(1);
});
