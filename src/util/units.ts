/** @file Quantities with units, as users write them. */
import { AppError } from "../errors.ts";

export type Dimension = "latency" | "size" | "count" | "energy" | "points";
/** Base units: ms, bytes, a plain number, mJ, percentage points. A percentage is of the reference network on the device. */
export type Quantity = { readonly kind: "absolute"; readonly value: number } | { readonly kind: "percent"; readonly ratio: number };

const UNITS: Record<Dimension, Readonly<Record<string, number>>> = {
  latency: { us: 1e-3, µs: 1e-3, ms: 1, s: 1000 },
  size: { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 },
  count: { "": 1, K: 1e3, M: 1e6, G: 1e9 },
  energy: { uJ: 1e-3, mJ: 1, J: 1000 },
  points: { "": 1, pt: 1 },
};
const EXAMPLES: Record<Dimension, string> = { latency: "4ms", size: "500KB", count: "300M", energy: "5mJ", points: "1%" };

/**
 * Reads "4ms", "500KB", "300M", "5mJ" or "60%".
 * @param where names the option in the error @throws AppError CONFIG for another form, an unknown unit or a number that is not positive
 */
export function parseQuantity(text: string, dimension: Dimension, where: string): Quantity {
  const match = /^\s*(\d+(?:\.\d+)?|\.\d+)\s*([^\d\s]*)\s*$/.exec(text);
  const units = UNITS[dimension];
  const value = Number(match?.[1]);
  const unit = match?.[2] ?? "";
  if (match && value > 0) {
    if (unit === "%" && dimension === "points") return { kind: "absolute", value };
    if (unit === "%") return { kind: "percent", ratio: value / 100 };
    const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
    if (factor !== undefined) return { kind: "absolute", value: value * factor };
  }
  const accepted = Object.keys(units)
    .filter((name) => name !== "")
    .join(", ");
  throw new AppError(
    "CONFIG",
    `${where}: must be a positive number with one of the units ${accepted} or %, got "${text}" — for example ${EXAMPLES[dimension]} or 60%`,
  );
}

const DURATIONS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };

/** Reads "90s", "30m" or "2h" as milliseconds. @throws AppError CONFIG for another form */
export function parseDuration(text: string, where: string): number {
  const [, value, unit] = /^\s*(\d+(?:\.\d+)?)\s*(s|m|min|h)\s*$/.exec(text) ?? [];
  if (value !== undefined && Number(value) > 0) return Number(value) * DURATIONS[unit!]!;
  throw new AppError("CONFIG", `${where}: must be a duration in s, m or h, got "${text}" — for example 30m`);
}

const digits = (value: number) => (value >= 100 ? 0 : value >= 10 ? 1 : 2);

export const formatMs = (ms: number): string => (ms < 1 ? `${(ms * 1000).toFixed(0)} us` : `${ms.toFixed(digits(ms))} ms`);

export const formatEnergy = (mj: number): string =>
  mj < 1 ? `${(mj * 1000).toFixed(digits(mj * 1000))} uJ` : `${mj.toFixed(digits(mj))} mJ`;

/** A limit that admits `value`, as the option wants it written: rounded up to three digits. */
export function admitting(value: number, dimension: Dimension): string {
  const steps = Object.entries(UNITS[dimension]).sort(([, a], [, b]) => b - a);
  const [unit, factor] = steps.find(([name, f]) => value >= f && !name.endsWith("iB") && name !== "µs") ?? steps.at(-1)!;
  const own = value / factor;
  const digit = 10 ** (Math.floor(Math.log10(own)) - 2);
  return `${Number((Math.ceil(own / digit - 1e-9) * digit).toPrecision(3))}${unit}`;
}

function scaled(value: number, steps: readonly (readonly [number, string])[]): string {
  const [factor, unit] = steps.find(([limit]) => value >= limit) ?? [1, ""];
  return `${(value / factor).toFixed(factor === 1 ? 0 : digits(value / factor))}${unit}`;
}
export const formatBytes = (bytes: number): string =>
  scaled(bytes, [
    [1e9, " GB"],
    [1e6, " MB"],
    [1e3, " KB"],
    [1, " B"],
  ]);
export const formatCount = (count: number): string =>
  scaled(count, [
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " K"],
  ]);
export const formatPoints = (points: number): string => `${points.toFixed(2)} points`;
export const formatPercent = (ratio: number): string => `${(100 * ratio).toFixed(2)}%`;
