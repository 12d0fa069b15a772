/** @file Limits and their values as commands print them. */
import type { Constraint } from "../run/card.ts";
import { formatBytes, formatCount, formatEnergy, formatMs } from "../util/units.ts";
import { print } from "./output.ts";

const FORMATS: Record<Constraint["unit"], (value: number) => string> = {
  ms: formatMs,
  mJ: formatEnergy,
  bytes: formatBytes,
  MACs: formatCount,
  parameters: formatCount,
  BitOps: formatCount,
};
export const formatIn = (unit: Constraint["unit"], value: number): string => FORMATS[unit](value);

export function showConstraint({ name, limit, value, isMet, obtained, unit }: Constraint): void {
  print(`\nlimit    ${name} ${formatIn(unit, limit)}, ${isMet ? "met" : "MISSED"}: ${formatIn(unit, value)} (${obtained})`);
}

/** For a table of limits: name, limit, value, verdict, how it was obtained. */
export const constraintRow = ({ name, limit, value, isMet, obtained, unit }: Constraint): string[] => [
  name,
  formatIn(unit, limit),
  formatIn(unit, value),
  isMet ? "met" : "MISSED",
  obtained,
];
