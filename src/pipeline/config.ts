/** @file What `optimize` is configured with, on the command line, in a file or from a program: one schema for all. */
import { z } from "zod";
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { PruneDevice } from "../run/prune-limits.ts";
import { nearest } from "../util/nearest.ts";

const positive = z.number().int().positive();
const limit = (description: string) => z.string().optional().describe(description);
const channels = z.array(z.number()).min(1).optional();

const fields = {
  model: z.string().optional().describe("ONNX file or run folder; without one a network is searched"),
  data: z.string().describe("labelled images: fashion-mnist, idx:DIR, cifar10:DIR or images:DIR"),
  device: z.string().default("cpu").describe("cpu, bitfusion, bismo-edge, bismo-cloud, or a latency table: FILE.json or FILE.yaml"),
  maxLatency: limit("per image on the device, e.g. 4ms or 50%"),
  maxEnergy: limit("per image on a simulated device, e.g. 1mJ or 50%"),
  maxSize: limit("of the file, e.g. 500KB or 20%"),
  maxPeakMemory: limit("activations alive at once, as float32, e.g. 100KB or 50%"),
  maxMacs: limit("multiply-accumulates, e.g. 20M or 50%"),
  maxBitops: limit("MACs x weight bits x activation bits, e.g. 300M or 40%"),
  maxAccuracyDrop: limit("test accuracy that may be lost, percentage points, e.g. 1%"),
  time: z.string().optional().describe("for everything, e.g. 30m or 2h"),
  method: z.enum(["auto", "joint", "pipeline"]).default("auto").describe("without a model: joint search, or one stage after the other"),
  episodes: positive.optional().describe("policies that each search tries"),
  epochs: z.number().int().nonnegative().optional().describe("epochs of training what was found"),
  batch: positive.optional().describe("images per step (default: 128, fewer for few images)"),
  lr: z.number().positive().optional().describe("highest learning rate"),
  width: z.number().min(0.1).max(4).default(0.5).describe("widths of the searched space relative to the papers'"),
  distillation: z.boolean().default(true).describe("train on the original's outputs as well"),
  baselines: z.boolean().default(false).describe("also what simple rules give within the limits"),
  flip: z.boolean().default(true).describe("augmentation: mirror images"),
  input: z.tuple([positive, positive, positive]).optional().describe("channels, height, width, where the model's file leaves them open"),
  mean: channels.describe("means that the model's input was normalised with, per channel of 0…1 pixels"),
  std: channels.describe("deviations that it was divided by"),
  size: positive.max(4096).optional().describe("side of the square that images of a folder are resized to"),
  validation: z.number().min(0.001).max(0.9).default(0.1).describe("share of the training images held out for validation"),
  limit: positive.optional().describe("use at most this many training images"),
  splitSeed: z.number().int().nonnegative().optional().describe("seed of the split of the images"),
  seed: z.number().int().nonnegative().default(0).describe("seed of every random choice"),
  threads: positive.default(1).describe("threads that the exported model is timed with"),
  out: z.string().default("runs/optimize").describe("folder of the run"),
} as const;

const isObjectWith =
  (...keys: readonly string[]) =>
  (value: unknown) =>
    typeof value === "object" && value !== null && keys.every((key) => key in value);

/** What a simulated device must tell more than any. */
const isDevice = (value: unknown) => {
  const isAny = isObjectWith("name", "kind", "overheadMs", "latencyMs")(value);
  return isAny && ((value as PruneDevice).kind !== "simulated" || isObjectWith("precisions", "layerCost", "energyMj")(value));
};

/** Flags may give what a file leaves out, the images too; it may name its schema. */
const fileSchema = z.strictObject({ $schema: z.string().optional(), ...fields, data: fields.data.optional() });
const schema = z.strictObject({
  ...fields,
  data: z.union([z.string(), z.custom<DataSplits>(isObjectWith("train", "validation", "test", "normalisation"))]),
  device: z.union([z.string(), z.custom<PruneDevice>(isDevice, "expected a device")]).default("cpu"),
});

/** As a user writes it. */
export type OptimizeConfig = z.input<typeof schema>;
/** With every default. */
export type ResolvedConfig = z.output<typeof schema>;

export const CONFIG_KEYS = Object.keys(fields);

/** Gives an editor the types of a configuration file. */
export const defineConfig = (config: Partial<OptimizeConfig>): Partial<OptimizeConfig> => config;

/** @param where names the file or the call in errors @throws AppError CONFIG naming the key and, where it is unknown, the nearest one */
export function resolveConfig(config: unknown, where: string): ResolvedConfig {
  if (isObjectWith()(config) && (config as { data?: unknown }).data === undefined)
    throw new AppError(
      "CONFIG",
      `${where}: data must be given, got none — for example images:photos, a folder with one folder of images a class`,
    );
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue!.code === "unrecognized_keys") {
    const [key] = issue!.keys;
    const near = nearest(key!, CONFIG_KEYS);
    throw new AppError("CONFIG", `${where}: keys must be known, got "${key}"${near ? ` — did you mean ${near}?` : ""}`);
  }
  const key = issue!.path.join(".") || "the configuration";
  throw new AppError("CONFIG", `${where}: ${key} must be valid, got ${issue!.message}`);
}

/** JSON Schema of a configuration file, for editors. */
export const configJsonSchema = (): unknown => z.toJSONSchema(fileSchema, { io: "input" });
