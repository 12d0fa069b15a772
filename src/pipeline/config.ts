/** @file What `optimize` is configured with, on the command line, in a file or from a program: one schema for all. */
import { z } from "zod";
import { dataForms } from "../data/forms.ts";
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

/** What must hold of each key. */
const RULES: Readonly<Record<keyof typeof fields, string>> = {
  model: 'the path of an ONNX file or of a run folder, such as "model.onnx"',
  data: dataForms,
  device: "cpu, bitfusion, bismo-edge, bismo-cloud, FILE.json or FILE.yaml",
  maxLatency: 'text with a unit such as "4ms" or "50%"',
  maxEnergy: 'text with a unit such as "1mJ" or "50%"',
  maxSize: 'text with a unit such as "500KB" or "20%"',
  maxPeakMemory: 'text with a unit such as "100KB" or "50%"',
  maxMacs: 'text with a unit such as "5M" or "50%"',
  maxBitops: 'text with a unit such as "300M" or "40%"',
  maxAccuracyDrop: 'text such as "1%"',
  time: 'text with a unit such as "30m" or "2h"',
  method: "auto, joint or pipeline",
  episodes: "a whole number from 1",
  epochs: "a whole number from 0",
  batch: "a whole number from 1",
  lr: "a number above 0, such as 0.1",
  width: "a number from 0.1 to 4",
  distillation: "true or false",
  baselines: "true or false",
  flip: "true or false",
  input: "channels, height and width as whole numbers from 1, such as [3, 224, 224]",
  mean: "one number for each channel, such as [0.485, 0.456, 0.406]",
  std: "one number for each channel, such as [0.229, 0.224, 0.225]",
  size: "a whole number from 1 to 4096",
  validation: "a number from 0.001 to 0.9",
  limit: "a whole number from 1",
  splitSeed: "a whole number from 0",
  seed: "a whole number from 0",
  threads: "a whole number from 1",
  out: 'the path of a folder, such as "runs/fits"',
};

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);
const missingOf = (value: object, members: readonly string[]) => members.filter((member) => !(member in value));

const DATA_MEMBERS = ["train", "validation", "test", "normalisation"];
const DEVICE_MEMBERS = ["name", "kind", "overheadMs", "latencyMs"];
/** What a simulated device must tell more than any. */
const SIMULATED_MEMBERS = [...DEVICE_MEMBERS, "precisions", "layerCost", "energyMj"];
const deviceMembers = (value: object) => ("kind" in value && value.kind === "simulated" ? SIMULATED_MEMBERS : DEVICE_MEMBERS);

const isData = (value: unknown) => isObject(value) && missingOf(value, DATA_MEMBERS).length === 0;
const isDevice = (value: unknown) => isObject(value) && missingOf(value, deviceMembers(value)).length === 0;

/** Flags may give what a file leaves out, the images too; it may name its schema. */
const fileSchema = z.strictObject({ $schema: z.string().optional(), ...fields, data: fields.data.optional() });
const schema = z.strictObject({
  ...fields,
  data: z.union([z.string(), z.custom<DataSplits>(isData)]),
  device: z.union([z.string(), z.custom<PruneDevice>(isDevice)]).default("cpu"),
});

/** As a user writes it. */
export type OptimizeConfig = z.input<typeof schema>;
/** With every default. */
export type ResolvedConfig = z.output<typeof schema>;

export const CONFIG_KEYS = Object.keys(fields);

/** Gives an editor the types of a configuration file. */
export const defineConfig = (config: Partial<OptimizeConfig>): Partial<OptimizeConfig> => config;

/** How errors call a key: by its flag, or by the file that it is in. */
export interface Naming {
  /** As the user writes it, such as --max-macs. */
  nameOf(key: string): string;
  /** The command or the file that it is given in. */
  whereOf(key: string): string;
}
export const plainNaming = (where: string): Naming => ({ nameOf: (key) => key, whereOf: () => where });
/** "fettle.config.json: maxMacs". */
export const fullName = ({ nameOf, whereOf }: Naming, key: string): string => `${whereOf(key)}: ${nameOf(key)}`;

const LONGEST_SHOWN = 60;
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}

/** What must hold of a key and what was found instead. */
function fault(key: string, value: unknown): string {
  if (isObject(value) && key === "device")
    return `must have ${deviceMembers(value).join(", ")}, got none of ${missingOf(value, deviceMembers(value)).join(", ")} — deviceContract of fettle/contracts checks a device`;
  if (isObject(value) && key === "data")
    return `must have ${DATA_MEMBERS.join(", ")}, got none of ${missingOf(value, DATA_MEMBERS).join(", ")} — dataFromImages makes such an object`;
  return `must be ${RULES[key as keyof typeof fields]}, got ${shown(value)}`;
}

/** @throws AppError CONFIG naming the key, what must hold of it and, where it is unknown, the nearest one */
export function resolveConfig(config: unknown, naming: Naming): ResolvedConfig {
  const refuse = (text: string) => new AppError("CONFIG", text);
  if (!isObject(config)) throw refuse(`${naming.whereOf("data")}: the configuration must be an object of settings, got ${shown(config)}`);
  const values = config as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(values).find((key) => !CONFIG_KEYS.includes(key));
  if (unknown !== undefined) {
    const near = nearest(unknown, CONFIG_KEYS);
    throw refuse(`${naming.whereOf(unknown)}: keys must be known, got "${unknown}"${near ? ` — did you mean ${near}?` : ""}`);
  }
  if (values.data === undefined)
    throw refuse(
      `${fullName(naming, "data")} must be given, got none — for example images:photos, a folder with one folder of images a class`,
    );
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const key = String(result.error.issues[0]!.path[0]);
  throw refuse(`${fullName(naming, key)} ${fault(key, values[key])}`);
}

/** JSON Schema of a configuration file, for editors. */
export const configJsonSchema = (): unknown => z.toJSONSchema(fileSchema, { io: "input" });
