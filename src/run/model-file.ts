/** @file Opening what a user calls a model: an ONNX file, or the folder of a run. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Normalisation } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { Model, SampleShape } from "../graph/types.ts";
import type { Precision } from "../hardware/precision.ts";
import { exportWeights } from "../nn/parameters.ts";
import { importOnnx } from "../onnx/import/import.ts";
import { loadRun, WEIGHTS } from "./train-run.ts";

export interface OpenedModel {
  readonly model: Model;
  readonly path: string;
  /** What the card beside the file says it was trained with. */
  readonly trainedWith: TrainedWith;
  /** Weight and activation bits by layer, as a quantised file notes them; empty for others. */
  readonly bits: ReadonlyMap<string, Precision>;
}

/** Nulls where no card tells. */
export interface TrainedWith {
  readonly normalisation: Normalisation | null;
  readonly classes: readonly string[] | null;
  readonly splitSeed: number | null;
}

const cardSchema = z.object({
  input: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }),
  classes: z.array(z.string()),
  splitSeed: z.number().nullable().default(null),
});

const isFolder = (target: string): boolean => existsSync(target) && statSync(target).isDirectory();

/** A run folder stands for the model inside it. @throws AppError CONFIG when there is none */
export function modelPath(target: string): string {
  const path = isFolder(target) ? join(target, "model.onnx") : target;
  if (!existsSync(path)) throw new AppError("CONFIG", `model: ${path} must exist, got no such file`);
  if (isFolder(path)) throw new AppError("CONFIG", `model: ${path} must be a file, got a folder`);
  return path;
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new AppError("CONFIG", `card: ${path} must be JSON, got ${(error as Error).message}`, { cause: error });
  }
}

/** @throws AppError CONFIG when a model was trained on other classes than the images have, or in another order */
export function requireSameClasses(what: string, known: readonly string[] | null, classes: readonly string[]): void {
  if (!known || known.join("\n") === classes.join("\n")) return;
  throw new AppError("CONFIG", `${what} must have the classes of the images (${classes.join(", ")}), got ${known.join(", ")}`);
}

/** What the card beside a model says of its training images. @throws AppError CONFIG for a card that is not one */
export function trainedWith(path: string): TrainedWith {
  const card = join(dirname(path), "card.json");
  if (!existsSync(card)) return { normalisation: null, classes: null, splitSeed: null };
  const result = cardSchema.safeParse(readJson(card));
  if (!result.success)
    throw new AppError("CONFIG", `card: ${card} must describe the model's input and classes, got ${result.error.issues[0]?.message}`);
  const { input, classes, splitSeed } = result.data;
  return { normalisation: input, classes, splitSeed };
}

/** SHA-256 of graph and weights, hexadecimal. */
export function modelFingerprint({ graph, weights }: Model): string {
  const hash = createHash("sha256").update(JSON.stringify(graph));
  for (const [name, { data }] of weights) hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return hash.digest("hex");
}

const bitsSchema = z.record(z.string(), z.tuple([z.number(), z.number()]));

/** The note of a file's bits; of another program's note with that name nothing. */
function notedBits(note: string | undefined): ReadonlyMap<string, Precision> {
  try {
    const entries = Object.entries(bitsSchema.parse(JSON.parse(note ?? "{}")));
    return new Map(entries.map(([name, [weightBits, activationBits]]) => [name, { weightBits, activationBits }]));
  } catch {
    return new Map();
  }
}

/** Opens a run folder with the weights as they were trained (batch normalisation not folded), or an ONNX file. */
export async function openModel(target: string, inputShape?: SampleShape): Promise<OpenedModel> {
  const path = modelPath(target);
  if (isFolder(target) && existsSync(join(target, WEIGHTS))) {
    using run = loadRun(target);
    return { model: { graph: run.graph, weights: exportWeights(run.params) }, path, trainedWith: trainedWith(path), bits: new Map() };
  }
  const model = await importOnnx(readFileSync(path), path, inputShape ? { inputShape } : {});
  return { model, path, trainedWith: trainedWith(path), bits: notedBits(model.metadata.get("bits")) };
}
