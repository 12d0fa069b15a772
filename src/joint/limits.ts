/** @file Limits of a joint search: what a genome costs in each limit's unit, and whether it can be met. */
import { AppError } from "../errors.ts";
import type { Device } from "../hardware/device.ts";
import { isAccelerator } from "../hardware/kinds.ts";
import type { Accelerator } from "../hardware/precision.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome } from "../space/genome.ts";
import { elasticBlocks } from "../space/subnet.ts";
import type { Quantity } from "../util/units.ts";
import { acceleratorCost, counted, type GenomeCost, sumOfLayers } from "./costs.ts";
import { floatLatency } from "./float-latency.ts";
import { peakMemory } from "./peak-memory.ts";

export type JointLimitKind = "latency" | "energy" | "size" | "macs" | "bitops" | "peakMemory";

export interface JointBudget {
  readonly kind: JointLimitKind;
  /** A percentage is of the largest sub-net with the most bits. */
  readonly quantity: Quantity;
}
export interface JointLimit {
  readonly kind: JointLimitKind;
  readonly limit: number;
  readonly cost: GenomeCost;
}

export type JointDevice = Device | Accelerator;

/** Every gene at its last option. */
export const dearest = (space: ElasticSpace): Genome => createGenetics(space).options.map((count) => count - 1);

/** The genome that costs least: block by block the cheapest of all its options, stages at their least depth. Costs must be sums over blocks. */
export function cheapestGenome(space: ElasticSpace, cost: GenomeCost): Genome {
  const { options, blockStart, isActive } = createGenetics(space);
  const best = new Uint8Array(options.length);
  for (const [i] of elasticBlocks(space).entries()) {
    if (!isActive(best, i)) continue;
    const start = blockStart(i);
    const trial = best.slice();
    let least = Number.POSITIVE_INFINITY;
    const tryFrom = (gene: number): void => {
      if (gene === start + 6) {
        const price = cost(trial);
        if (price < least) {
          least = price;
          best.set(trial.subarray(start, gene), start);
        }
        return;
      }
      for (trial[gene] = 0; trial[gene]! < options[gene]!; trial[gene]!++) tryFrom(gene + 1);
    };
    tryFrom(start);
  }
  return best;
}

/** What each budget's costs are on the device. @throws AppError CONFIG for a limit that the device cannot tell */
export async function jointLimits(
  space: ElasticSpace,
  device: JointDevice | null,
  budgets: readonly JointBudget[],
  onProgress?: (done: number, total: number) => void,
): Promise<JointLimit[]> {
  const costOf = async (kind: JointLimitKind): Promise<GenomeCost> => {
    if (kind === "peakMemory") return peakMemory(space);
    if (kind !== "latency" && kind !== "energy") return sumOfLayers(space, counted[kind]);
    if (!device) throw new AppError("CONFIG", `joint: ${kind} must be that of a device, got none — give one with --device`);
    if (isAccelerator(device)) return sumOfLayers(space, acceleratorCost(device, kind === "latency" ? "latencyMs" : "energyMj"));
    if (kind === "energy")
      throw new AppError(
        "CONFIG",
        `joint: an energy limit must be that of a simulated accelerator, got ${device.name} — see fettle devices`,
      );
    return floatLatency(space, device, onProgress);
  };
  const limits: JointLimit[] = [];
  for (const { kind, quantity } of budgets) {
    const cost = await costOf(kind);
    limits.push({ kind, cost, limit: quantity.kind === "absolute" ? quantity.value : quantity.ratio * cost(dearest(space)) });
  }
  return limits;
}

export const isWithin = (limits: readonly JointLimit[], genome: Genome): boolean =>
  limits.every(({ cost, limit }) => cost(genome) <= limit);
