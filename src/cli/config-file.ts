/** @file fettle.config.ts, .json or .yaml: settings of `optimize` beside the flags. */
import { existsSync, readFileSync } from "node:fs";
import { extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parse as parseYaml } from "yaml";
import { AppError } from "../errors.ts";

/** Looked for in the working folder, in this order. */
const NAMES = [
  "fettle.config.ts",
  "fettle.config.mjs",
  "fettle.config.js",
  "fettle.config.json",
  "fettle.config.yaml",
  "fettle.config.yml",
];

async function read(path: string): Promise<unknown> {
  const text = () => readFileSync(path, "utf8");
  switch (extname(path)) {
    case ".json":
      return JSON.parse(text());
    case ".yaml":
    case ".yml":
      return parseYaml(text());
    case ".ts":
    case ".mts":
    case ".js":
    case ".mjs":
      return ((await import(pathToFileURL(resolve(path)).href)) as { default?: unknown }).default;
    default:
      throw new AppError("CONFIG", `config: ${path} must be a .ts, .js, .json or .yaml file, got another`);
  }
}

export interface ConfigFile {
  /** Null where there is none. */
  readonly path: string | null;
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * Settings of a file: the one named, or one of the known names in the working folder; none where there is none.
 * @throws AppError CONFIG when the file is missing or cannot be read as what its name says
 */
export async function loadConfigFile(file: string | undefined): Promise<ConfigFile> {
  const path = file ?? NAMES.find((name) => existsSync(name));
  if (path === undefined) return { path: null, settings: {} };
  if (!existsSync(path)) throw new AppError("CONFIG", `config: ${path} must exist, got no such file`);
  let value: unknown;
  try {
    value = await read(path);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError("CONFIG", `config: ${path} must be readable, got ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AppError(
      "CONFIG",
      `config: ${path} must give an object of settings, got ${value === undefined ? "no default export" : typeof value}`,
    );
  const { $schema, ...settings } = value as Record<string, unknown>;
  return { path, settings };
}
