/** @file What a configuration says that its schema cannot check: quantities, and settings that belong together. */
import { AppError } from "../errors.ts";
import { parseDuration } from "../util/units.ts";
import { fullName, type Naming, type ResolvedConfig } from "./config.ts";
import { type Limits, parseLimits } from "./limits.ts";

/** @throws AppError CONFIG for settings that say something of what is not there */
function requireUsed(config: ResolvedConfig, naming: Naming): void {
  const refuse = (keys: readonly (keyof ResolvedConfig)[], reason: string) => {
    const key = keys.find((one) => config[one] !== undefined);
    if (key) throw new AppError("CONFIG", `${fullName(naming, key)} must be left out ${reason}, got ${JSON.stringify(config[key])}`);
  };
  if (config.model === undefined) refuse(["mean", "std", "input", "maxAccuracyDrop"], "without a model");
  if (typeof config.data !== "string") refuse(["size", "limit", "splitSeed"], "where the images are given as objects");
}

/** The limits and the time as numbers; null for as long as it takes. @throws AppError CONFIG naming the key */
export function checkConfig(config: ResolvedConfig, naming: Naming): { readonly limits: Limits; readonly timeMs: number | null } {
  requireUsed(config, naming);
  const limits = parseLimits(config, naming);
  return { limits, timeMs: config.time === undefined ? null : parseDuration(config.time, fullName(naming, "time")) };
}
