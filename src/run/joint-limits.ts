/** @file Limits of a joint search as a user reads them: feasibility, and how each was met. */
import { AppError } from "../errors.ts";
import { isCpu } from "../hardware/kinds.ts";
import { leastLatency } from "../hardware/measure.ts";
import { untrainedFile } from "../hardware/untrained-file.ts";
import { cheapestGenome, type JointBudget, type JointDevice, type JointLimit, type JointLimitKind } from "../joint/limits.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import type { Genome } from "../space/genome.ts";
import { smallestSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { admitting } from "../util/units.ts";
import type { Constraint } from "./card.ts";
import { constraintOf, LIMIT_KINDS } from "./limit-kinds.ts";

/** What no sub-net costs less than. */
export const leastCost = (space: ElasticSpace, { cost }: JointLimit): number => cost(cheapestGenome(space, cost));

function requireAtLeast(
  least: number,
  { kind, limit }: { readonly kind: JointLimitKind; readonly limit: number },
  space: ElasticSpace,
): void {
  if (least <= limit) return;
  const { title, format, dimension } = LIMIT_KINDS[kind];
  throw new AppError(
    "INFEASIBLE",
    `joint: ${title} must be at least ${format(least)} in the space ${space.name}, got a limit of ${format(limit)} — raise it to ${admitting(least, dimension)}`,
  );
}

/** @throws AppError INFEASIBLE naming the nearest reachable cost when a limit is below what any sub-net costs */
export function requireEachReachable(space: ElasticSpace, limits: readonly JointLimit[]): void {
  for (const one of limits) requireAtLeast(leastCost(space, one), one, space);
}

/**
 * A latency on this CPU that not even the smallest sub-net has is told in seconds: to measure the blocks of all takes minutes.
 * @throws AppError INFEASIBLE naming the latency of the smallest
 */
export async function requireSmallestWithin(
  space: ElasticSpace,
  device: JointDevice | null,
  budgets: readonly JointBudget[],
): Promise<void> {
  if (!device || !isCpu(device)) return;
  for (const { kind, quantity } of budgets) {
    if (kind !== "latency" || quantity.kind !== "absolute") continue;
    const smallest = untrainedFile(subnetGraph(space, smallestSubnet(space)));
    requireAtLeast(await leastLatency(smallest, quantity.value, { threads: device.threads }), { kind, limit: quantity.value }, space);
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
