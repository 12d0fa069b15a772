/** @file Devices known by a table of latencies. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { AppError } from "../errors.ts";
import type { Graph } from "../graph/types.ts";
import { nearest } from "../util/nearest.ts";
import type { Device } from "./device.ts";
import { operatorsOf } from "./operators.ts";
import { proxylessKeys } from "./proxyless-keys.ts";

const ownSchema = z.strictObject({
  format: z.literal("fettle-table-1"),
  name: z.string().min(1),
  /** Milliseconds per inference besides the operators (default 0). */
  overheadMs: z.number().nonnegative().default(0),
  /** Operator key (see `operatorsOf`) → milliseconds. */
  latencyMs: z.record(z.string(), z.number().nonnegative()),
});
const proxylessSchema = z.record(
  z.string(),
  z.object({ mean: z.number().nonnegative(), count: z.number().optional(), var: z.number().optional() }),
);

function createTableDevice(
  name: string,
  overheadMs: number,
  entries: ReadonlyMap<string, number>,
  keysOf: (graph: Graph) => readonly string[],
): Device {
  const requireEntries = (keys: readonly string[]) => {
    const missing = [...new Set(keys)].filter((key) => !entries.has(key));
    if (missing.length > 0) throw new AppError("CONFIG", `device ${name}: ${missingEntries(missing, [...entries.keys()])}`);
  };
  return {
    name,
    kind: "table",
    overheadMs,
    latencyMs: async (graph) => {
      const keys = keysOf(graph);
      requireEntries(keys);
      return keys.reduce((total, key) => total + entries.get(key)!, 0);
    },
    prepare: async (graphs) => requireEntries(graphs.flatMap(keysOf)),
  };
}

/** All at once, to be measured together. */
function missingEntries(missing: readonly string[], known: readonly string[]): string {
  const [only] = missing;
  if (missing.length > 1)
    return `the table must have every operator, got no entry for ${missing.length} of them: ${missing.map((key) => JSON.stringify(key)).join(", ")}`;
  const near = nearest(only!, known);
  return `the table must have "${only}", got no such entry${near ? ` — the nearest is "${near}"` : ""}`;
}

function read(path: string, parser: (text: string) => unknown): unknown {
  try {
    return parser(readFileSync(path, "utf8"));
  } catch (error) {
    throw new AppError("CONFIG", `device ${path}: the table must be readable, got ${(error as Error).message.split("\n")[0]}`, {
      cause: error,
    });
  }
}

function validated<T>(path: string, schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new AppError("CONFIG", `device ${path}: ${issue!.path.join(".") || "the table"} is not valid: ${issue!.message}`);
}

/** Fettle's own format, JSON: operator keys as `fettle` prints them. @throws AppError CONFIG naming file and field */
export function openJsonTable(path: string): Device {
  const { name, overheadMs, latencyMs } = validated(path, ownSchema, read(path, JSON.parse));
  return createTableDevice(name, overheadMs, new Map(Object.entries(latencyMs)), (graph) => operatorsOf(graph).map(({ key }) => key));
}

/** The YAML tables of ProxylessNAS and Once-for-All: whole blocks, mean in ms. @throws AppError CONFIG naming file and field */
export function openProxylessTable(path: string): Device {
  const table = validated(path, proxylessSchema, read(path, parse));
  return createTableDevice(path, 0, new Map(Object.entries(table).map(([key, { mean }]) => [key, mean])), proxylessKeys);
}
