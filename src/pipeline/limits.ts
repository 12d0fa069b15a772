/** @file The limits of a whole run, as users write them and as its stages take them. */
import { AppError } from "../errors.ts";
import { isAccelerator, isCpu } from "../hardware/kinds.ts";
import { LIMIT_KINDS, type LimitKind } from "../run/limit-kinds.ts";
import type { PruneBudgetKind, PruneDevice } from "../run/prune-limits.ts";
import type { QuantizeBudgetKind } from "../run/quantize-limits.ts";
import { parseQuantity, type Quantity } from "../util/units.ts";
import { fullName, type Naming } from "./config.ts";

/** Keys of a configuration and what they limit. */
export const LIMIT_KEYS = {
  maxLatency: "latency",
  maxEnergy: "energy",
  maxSize: "size",
  maxPeakMemory: "peakMemory",
  maxMacs: "macs",
  maxBitops: "bitops",
  maxAccuracyDrop: "accuracyDrop",
} as const satisfies Record<string, LimitKind>;
export type LimitKey = keyof typeof LIMIT_KEYS;
export type CostKind = Exclude<(typeof LIMIT_KEYS)[LimitKey], "accuracyDrop">;

export interface CostLimit {
  readonly kind: CostKind;
  readonly quantity: Quantity;
}
export interface Limits {
  /** At least one, all to be met at once. */
  readonly costs: readonly CostLimit[];
  /** Test accuracy that may be lost, percentage points; null for any. */
  readonly accuracyDrop: number | null;
}

/** @throws AppError CONFIG for another form or no cost at all */
export function parseLimits(texts: Readonly<Partial<Record<LimitKey, string>>>, naming: Naming): Limits {
  const { nameOf } = naming;
  const keys = Object.keys(LIMIT_KEYS) as LimitKey[];
  const given = keys.flatMap((key) => {
    const [text, kind] = [texts[key], LIMIT_KEYS[key]];
    return text === undefined ? [] : [{ kind, quantity: parseQuantity(text, LIMIT_KINDS[kind].dimension, fullName(naming, key)) }];
  });
  const costs = given.filter((limit): limit is CostLimit => limit.kind !== "accuracyDrop");
  const drop = given.find(({ kind }) => kind === "accuracyDrop")?.quantity;
  if (costs.length === 0) {
    const names = keys.filter((key) => LIMIT_KEYS[key] !== "accuracyDrop").map(nameOf);
    throw new AppError(
      "CONFIG",
      `${naming.whereOf("maxLatency")}: at least one of ${names.join(", ")} must be given, got ${drop ? nameOf("maxAccuracyDrop") : "none"}`,
    );
  }
  return { costs, accuracyDrop: drop?.kind === "absolute" ? drop.value : null };
}

/** What pruning limits for each cost: fewer MACs mean fewer BitOps at any bits. */
export const PRUNED_AS: Readonly<Record<CostKind, PruneBudgetKind>> = {
  latency: "latency",
  energy: "energy",
  size: "size",
  peakMemory: "peakMemory",
  macs: "macs",
  bitops: "macs",
};

/** Which of the costs depend on bits, on this device. */
export function dependsOnBits(kind: CostKind, device: PruneDevice): kind is QuantizeBudgetKind {
  if (kind === "size" || kind === "bitops") return true;
  if (kind === "latency") return isAccelerator(device) || isCpu(device);
  return kind === "energy";
}

/** Costs that a device knows at bits alone: what computes them has no floats. */
export const isAlwaysInBits = (kind: CostKind, device: PruneDevice): boolean =>
  kind === "bitops" || (isAccelerator(device) && (kind === "latency" || kind === "energy"));

/** What 8 bits make of a float file, about. */
export const SIZE_AT_EIGHT_BITS = 0.28;
/** BitOps of a multiply-accumulate at 8 bits. */
export const BITOPS_PER_MAC = 64;
