/** @file What a run folder tells, whatever kind of run it was: every part is there or absent. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { STAGES_FILE } from "../run/stage-names.ts";
import { openStore, STORE_FILE } from "../run/store.ts";

const constraint = z.object({
  name: z.string(),
  unit: z.string(),
  limit: z.number(),
  value: z.number(),
  obtained: z.string(),
  isMet: z.boolean(),
});
const card = z.object({
  model: z.string().optional(),
  network: z.string(),
  input: z.object({ shape: z.array(z.union([z.number(), z.string()])) }),
  classes: z.array(z.string()),
  accuracy: z.object({ test: z.number(), testImages: z.number() }),
  latency: z.object({ p50Ms: z.number(), p95Ms: z.number(), device: z.string(), threads: z.number() }),
  constraints: z.array(constraint),
  macs: z.number(),
  params: z.number(),
  fileBytes: z.number(),
  peakActivationBytes: z.number(),
  bitOps: z.number().optional(),
  layers: z.array(
    z.object({
      name: z.string(),
      op: z.string(),
      output: z.array(z.number()),
      macs: z.number(),
      params: z.number(),
      weightBits: z.number().optional(),
      activationBits: z.number().optional(),
    }),
  ),
  seed: z.number().optional(),
  versions: z.record(z.string(), z.string()).optional(),
  host: z.record(z.string(), z.unknown()).optional(),
});
const accuracies = z.object({ validation: z.number(), test: z.number() });
const policies = z.object({
  original: z.looseObject({ validation: z.number(), test: z.number() }).optional(),
  policies: z.array(
    z.looseObject({
      name: z.string(),
      validation: z.number(),
      test: z.number(),
      tuned: accuracies.nullable(),
      costs: z.array(z.number()).optional(),
    }),
  ),
});
const policy = z.looseObject({
  groups: z.array(z.object({ name: z.string(), channels: z.number(), kept: z.number() })).optional(),
  layers: z.array(z.object({ name: z.string(), weightBits: z.number(), activationBits: z.number() })).optional(),
  architecture: z.array(z.string()).optional(),
  summary: z.string().optional(),
  predicted: z.number().optional(),
});
const frontier = z.object({
  cost: z.string(),
  frontier: z.array(z.object({ accuracy: z.number(), cost: z.number(), costs: z.array(z.number()).optional() })),
  scored: z.array(z.object({ accuracy: z.number(), costs: z.array(z.number()) })).optional(),
});
const layerCosts = z.object({
  device: z.string(),
  unit: z.string(),
  layers: z.array(z.object({ name: z.string(), before: z.number().nullable(), after: z.number().nullable() })),
});
const episode = z.object({
  type: z.literal("episode"),
  episode: z.number(),
  accuracy: z.number(),
  reward: z.number(),
  noise: z.number().nullable(),
  isBest: z.boolean(),
  /** In the unit of each limit, in their order. */
  costs: z.array(z.number()).optional(),
});

const stagesFile = z.object({ stages: z.array(z.string()), isCancelled: z.boolean() });
const joint = z.looseObject({
  results: z.looseObject({ predictions: z.array(z.object({ predicted: z.number(), measured: z.number() })).optional() }),
});

export type RunCard = z.infer<typeof card>;
export type RunPolicies = z.infer<typeof policies>;
export type RunEpisode = z.infer<typeof episode>;
export type LayerCosts = z.infer<typeof layerCosts>;

export interface RunData {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly card: RunCard | null;
  readonly policies: RunPolicies | null;
  readonly policy: z.infer<typeof policy> | null;
  readonly frontier: z.infer<typeof frontier> | null;
  readonly layerCosts: LayerCosts | null;
  /** By number; what a resumed run repeated counts once. */
  readonly episodes: readonly RunEpisode[];
  /** Of a once-for-all network: of samples that the predictor has not seen. */
  readonly predictions: readonly { readonly predicted: number; readonly measured: number }[];
  /** Of a run of several, in order. */
  readonly stages: readonly RunData[];
}

function readJson<T>(path: string, schema: z.ZodType<T>): T | null {
  if (!existsSync(path)) return null;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new AppError("STORE", `report: ${path} must be JSON, got ${(error as Error).message}`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new AppError("STORE", `report: ${path} must be a run's, got ${issue!.path.join(".")}: ${issue!.message}`);
}

/** What fits the schema; what an older version stored otherwise is left out. */
function fitting<T>(values: readonly unknown[], schema: z.ZodType<T>): T[] {
  return values.flatMap((value) => {
    const result = schema.safeParse(value);
    return result.success ? [result.data] : [];
  });
}

function episodesOf(dir: string): readonly unknown[] {
  if (!existsSync(join(dir, STORE_FILE))) return [];
  using store = openStore(dir);
  return store.events("episode");
}

/** @throws AppError CONFIG for a folder that holds no run, STORE for a damaged file */
export function readRunData(dir: string): RunData {
  const file = (name: string) => join(dir, name);
  const config = readJson(file("config.json"), z.record(z.string(), z.unknown()));
  if (!config) throw new AppError("CONFIG", `report: ${dir} must be the folder of a run, got no config.json`);
  const byNumber = new Map(fitting(episodesOf(dir), episode).map((one) => [one.episode, one]));
  return {
    name: basename(resolve(dir)),
    config,
    card: readJson(file("card.json"), card),
    policies: readJson(file("policies.json"), policies),
    policy: readJson(file("policy.json"), policy),
    frontier: readJson(file("frontier.json"), frontier),
    layerCosts: readJson(file("layers.json"), layerCosts),
    episodes: [...byNumber.values()].sort((a, b) => a.episode - b.episode),
    predictions: readJson(file("joint.json"), joint)?.results.predictions ?? [],
    stages: (readJson(file(STAGES_FILE), stagesFile)?.stages ?? []).map((stage) => readRunData(file(stage))),
  };
}
