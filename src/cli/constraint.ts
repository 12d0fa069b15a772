/** @file Limits and their values as commands print them. */
import type { Constraint } from "../run/card.ts";
import { formatCost, LIMIT_KINDS } from "../run/limit-kinds.ts";
import { print } from "./output.ts";

export function showConstraint({ name, limit, value, isMet, obtained }: Constraint): void {
  const { title, format } = LIMIT_KINDS[name];
  print(`\nlimit    ${title} ${format(limit)}, ${isMet ? "met" : "MISSED"}: ${format(value)} (${obtained})`);
}

/** For a table of limits: name, limit, value, verdict, how it was obtained. */
export const constraintRow = ({ name, limit, value, isMet, obtained }: Constraint): string[] => [
  LIMIT_KINDS[name].title,
  formatCost(name, limit),
  formatCost(name, value),
  isMet ? "met" : "MISSED",
  obtained,
];
