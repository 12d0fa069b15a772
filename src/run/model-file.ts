/** @file Opening what a user calls a model: an ONNX file, or the folder of a run. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Normalisation } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { Model, SampleShape } from "../graph/types.ts";
import { exportWeights } from "../nn/parameters.ts";
import { importOnnx } from "../onnx/import/import.ts";
import { loadRun, WEIGHTS } from "./train-run.ts";

export interface OpenedModel {
  readonly model: Model;
  readonly path: string;
  /** What the card beside the file says it was trained with; null without a card. */
  readonly normalisation: Normalisation | null;
}

const cardSchema = z.object({ input: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }) });

const isFolder = (target: string): boolean => existsSync(target) && statSync(target).isDirectory();

/** A run folder stands for the model inside it. @throws AppError CONFIG when there is none */
export function modelPath(target: string): string {
  const path = isFolder(target) ? join(target, "model.onnx") : target;
  if (!existsSync(path)) throw new AppError("CONFIG", `model: ${path} must exist, got no such file`);
  return path;
}

/** The normalisation that the model was trained with, from the card beside it. */
export function normalisationBeside(path: string): Normalisation | null {
  const card = join(dirname(path), "card.json");
  if (!existsSync(card)) return null;
  const result = cardSchema.safeParse(JSON.parse(readFileSync(card, "utf8")));
  if (!result.success)
    throw new AppError("CONFIG", `card: ${card} must describe the model's input, got ${result.error.issues[0]?.message}`);
  return result.data.input;
}

/** Opens a run folder with the weights as they were trained (batch normalisation not folded), or an ONNX file. */
export async function openModel(target: string, inputShape?: SampleShape): Promise<OpenedModel> {
  const path = modelPath(target);
  const normalisation = normalisationBeside(path);
  if (isFolder(target) && existsSync(join(target, WEIGHTS))) {
    const { graph, params } = loadRun(target);
    using owned = params;
    return { model: { graph, weights: exportWeights(owned) }, path, normalisation };
  }
  return { model: await importOnnx(readFileSync(path), path, inputShape ? { inputShape } : {}), path, normalisation };
}
