/** @file Limits of a joint search as a user reads them: feasibility, and how each was met. */
import { AppError } from "../errors.ts";
import { cheapestGenome, type JointLimit, type JointLimitKind } from "../joint/limits.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import type { Genome } from "../space/genome.ts";
import { admitting, type Dimension, formatBytes, formatCount, formatEnergy, formatMs } from "../util/units.ts";
import type { Constraint } from "./card.ts";

const FORMS: Record<
  JointLimitKind,
  { readonly unit: Constraint["unit"]; readonly dimension: Dimension; readonly format: (value: number) => string }
> = {
  latency: { unit: "ms", dimension: "latency", format: formatMs },
  energy: { unit: "mJ", dimension: "energy", format: formatEnergy },
  size: { unit: "bytes", dimension: "size", format: formatBytes },
  macs: { unit: "MACs", dimension: "count", format: (value) => `${formatCount(value)} MACs` },
  bitops: { unit: "BitOps", dimension: "count", format: (value) => `${formatCount(value)} BitOps` },
};
export const formatJointCost = (kind: JointLimitKind, value: number): string => FORMS[kind].format(value);

/** @throws AppError INFEASIBLE naming the nearest reachable cost when a limit is below what any sub-net costs */
export function requireEachReachable(space: ElasticSpace, limits: readonly JointLimit[]): void {
  for (const { kind, cost, limit } of limits) {
    const least = cost(cheapestGenome(space, cost));
    if (least <= limit) continue;
    const { format, dimension } = FORMS[kind];
    throw new AppError(
      "INFEASIBLE",
      `joint: ${kind} must be at least ${format(least)} in the space ${space.name}, got a limit of ${format(limit)} — raise it to ${admitting(least, dimension)}`,
    );
  }
}

/** Every limit with its value: of the file where it can be measured, else what the search counted or estimated. */
export function constraintsOf(
  limits: readonly JointLimit[],
  genome: Genome,
  measured: { readonly latency: { readonly p50Ms: number }; readonly fileBytes: number },
  isLatencyMeasured: boolean,
): Constraint[] {
  return limits.map(({ kind, cost, limit }): Constraint => {
    const isMeasured = kind === "size" || (kind === "latency" && isLatencyMeasured);
    const value = !isMeasured ? cost(genome) : kind === "size" ? measured.fileBytes : measured.latency.p50Ms;
    const obtained = isMeasured ? "measured" : kind === "latency" || kind === "energy" ? "estimated" : "counted";
    return { name: kind, unit: FORMS[kind].unit, limit, value, obtained, isMet: value <= limit };
  });
}
