/** @file The folder of a once-for-all network: its space, what it was trained on, its samples and predictors. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { AppError } from "../errors.ts";
import type { PredictorState } from "../joint/predictor.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import { type ElasticSpace, parseElasticSpace } from "../space/elastic.ts";
import { readCheckpoint, writeCheckpoint } from "../train/checkpoint.ts";

export const SUPERNET = "supernet.safetensors";
export const TEACHER = "teacher.safetensors";
export const FLOAT_PREDICTOR = "predictor-float.safetensors";
export const PREDICTOR = "predictor.safetensors";
const DESCRIPTION = "joint.json";

const schema = z.object({
  /** The spec of the images and how they were loaded. */
  data: z.object({
    name: z.string(),
    splitSeed: z.number(),
    validation: z.number(),
    size: z.number().optional(),
    limit: z.number().optional(),
  }),
  classes: z.array(z.string()),
  normalisation: z.object({ mean: z.array(z.number()), std: z.array(z.number()) }),
  /** How sub-nets at bits were trained before predictors learnt from them. */
  tuning: z.object({ steps: z.number(), lr: z.number() }).default(SHORT_TUNE),
  space: z.unknown(),
});

/** What a trained supernet was trained for. */
export interface JointDescription extends Omit<z.infer<typeof schema>, "space"> {
  readonly space: ElasticSpace;
}

/** @throws AppError CONFIG when the folder holds no supernet that was trained to the end */
export function readJointDescription(dir: string): JointDescription {
  const path = join(dir, DESCRIPTION);
  if (!existsSync(path) || !existsSync(join(dir, FLOAT_PREDICTOR)))
    throw new AppError(
      "CONFIG",
      existsSync(join(dir, SUPERNET))
        ? `joint: ${dir} must hold a supernet with its predictors, got one whose training was interrupted — go on with fettle resume ${dir}`
        : `joint: ${dir} must hold a trained supernet, got none — train one with fettle joint train --out ${dir}`,
    );
  const result = schema.safeParse(JSON.parse(readFileSync(path, "utf8")));
  if (!result.success) throw new AppError("CONFIG", `joint: ${path} must describe a supernet, got ${result.error.issues[0]!.message}`);
  return { ...result.data, space: parseElasticSpace(result.data.space, path) };
}

export const writeJointDescription = (
  folder: { writeJson(name: string, value: unknown): void },
  description: JointDescription & { readonly results: unknown },
): void => folder.writeJson(DESCRIPTION, description);

export function writePredictor(path: string, { weights, seesBits, mean, deviation }: PredictorState): void {
  writeCheckpoint(path, { tensors: weights, metadata: { seesBits: `${seesBits}`, mean: `${mean}`, deviation: `${deviation}` } });
}
/** @throws AppError CONFIG where the supernet was trained for floats alone */
export function readPredictor(path: string): PredictorState {
  if (!existsSync(path))
    throw new AppError(
      "CONFIG",
      `joint: ${path} must be there to search bits, got a supernet that was trained for floats — train one with fettle joint train`,
    );
  const { tensors, metadata } = readCheckpoint(path);
  return { weights: tensors, seesBits: metadata.seesBits === "true", mean: Number(metadata.mean), deviation: Number(metadata.deviation) };
}
