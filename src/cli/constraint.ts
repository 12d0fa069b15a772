/** @file Limits and their values as commands print them. */
import type { Constraint } from "../run/card.ts";
import { formatCost, LIMIT_KINDS, nameCost } from "../run/limit-kinds.ts";
import { print } from "./output.ts";

export function showConstraint({ name, limit, value, isMet, obtained }: Constraint): void {
  print(`\nlimit    ${nameCost(name, limit)}, ${isMet ? "met" : "MISSED"}: ${formatCost(name, value)} (${obtained})`);
}

/** For a table of limits: name, limit, value, verdict, how it was obtained. */
export const constraintRow = ({ name, limit, value, isMet, obtained }: Constraint): string[] => [
  LIMIT_KINDS[name].title,
  formatCost(name, limit),
  formatCost(name, value),
  isMet ? "met" : "MISSED",
  obtained,
];
