/** @file What can be limited: how each kind is called, measured in and written. */
import { type Dimension, formatBytes, formatCount, formatEnergy, formatMs, formatPoints } from "../util/units.ts";
import type { Constraint, Obtained } from "./card.ts";

export type LimitKind = Constraint["name"];

interface LimitKindEntry {
  /** In sentences. */
  readonly title: string;
  readonly unit: Constraint["unit"];
  /** How users write it. */
  readonly dimension: Dimension;
  readonly format: (value: number) => string;
}

const countOf = (noun: string) => (value: number) => `${formatCount(value)} ${noun}`;

export const LIMIT_KINDS: Readonly<Record<LimitKind, LimitKindEntry>> = {
  latency: { title: "latency", unit: "ms", dimension: "latency", format: formatMs },
  energy: { title: "energy", unit: "mJ", dimension: "energy", format: formatEnergy },
  size: { title: "size", unit: "bytes", dimension: "size", format: formatBytes },
  peakMemory: { title: "peak memory", unit: "bytes", dimension: "size", format: formatBytes },
  macs: { title: "MACs", unit: "MACs", dimension: "count", format: countOf("MACs") },
  params: { title: "parameters", unit: "parameters", dimension: "count", format: countOf("parameters") },
  bitops: { title: "BitOps", unit: "BitOps", dimension: "count", format: countOf("BitOps") },
  accuracyDrop: { title: "accuracy drop", unit: "points", dimension: "points", format: formatPoints },
};

export const formatCost = (kind: LimitKind, value: number): string => LIMIT_KINDS[kind].format(value);

/** "latency 4.00 ms", "5.07 M MACs": with the kind's title where the unit does not tell. */
export function nameCost(kind: LimitKind, value: number): string {
  const { title, format } = LIMIT_KINDS[kind];
  return format(value).endsWith(title) ? format(value) : `${title} ${format(value)}`;
}

/** A limit with what came of it. */
export const constraintOf = (name: LimitKind, limit: number, value: number, obtained: Obtained): Constraint => ({
  name,
  unit: LIMIT_KINDS[name].unit,
  limit,
  value,
  obtained,
  isMet: value <= limit,
});
