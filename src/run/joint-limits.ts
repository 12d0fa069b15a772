/** @file Limits of a joint search as a user reads them: feasibility, and how each was met. */
import { AppError } from "../errors.ts";
import { cheapestGenome, type JointLimit } from "../joint/limits.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import type { Genome } from "../space/genome.ts";
import { admitting } from "../util/units.ts";
import type { Constraint } from "./card.ts";
import { constraintOf, LIMIT_KINDS } from "./limit-kinds.ts";

/** What no sub-net costs less than. */
export const leastCost = (space: ElasticSpace, { cost }: JointLimit): number => cost(cheapestGenome(space, cost));

/** @throws AppError INFEASIBLE naming the nearest reachable cost when a limit is below what any sub-net costs */
export function requireEachReachable(space: ElasticSpace, limits: readonly JointLimit[]): void {
  for (const one of limits) {
    const { kind, limit } = one;
    const least = leastCost(space, one);
    if (least <= limit) continue;
    const { title, format, dimension } = LIMIT_KINDS[kind];
    throw new AppError(
      "INFEASIBLE",
      `joint: ${title} must be at least ${format(least)} in the space ${space.name}, got a limit of ${format(limit)} — raise it to ${admitting(least, dimension)}`,
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
    return constraintOf(kind, limit, value, obtained);
  });
}
