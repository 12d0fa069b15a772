/** @file From data and a budget to an exported network: feasibility, search, derivation, retraining, deployment. */
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import type { Device } from "../hardware/device.ts";
import { isCpu } from "../hardware/kinds.ts";
import { leastLatency } from "../hardware/measure.ts";
import { measuredOverEstimated, untrainedFile } from "../hardware/untrained-file.ts";
import { latencyTable, macsTable } from "../nas/cost-tables.ts";
import { type CostTable, costOf, type Feasibility, feasibility } from "../nas/costs.ts";
import { mostProbable, mostProbableWithin } from "../nas/derive.ts";
import { type SearchResult, search } from "../nas/search.ts";
import type { SearchOptions, SearchReport } from "../nas/search-options.ts";
import { type Architecture, sampleArchitecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph } from "../space/graphs.ts";
import { createRng } from "../util/rng.ts";
import { admitting } from "../util/units.ts";
import { formatCost, LIMIT_KINDS } from "./limit-kinds.ts";

/** What limits the search: milliseconds on a device, or multiply-accumulates. */
export type BudgetKind = "latency" | "macs";

export interface Costs {
  readonly kind: BudgetKind;
  readonly table: CostTable;
  /** Measured over predicted latency of whole random networks, by which the table was multiplied; 1 for counts. */
  readonly calibration: number;
}

const scale = (table: CostTable, factor: number): CostTable => ({
  fixed: table.fixed * factor,
  perChoice: table.perChoice.map((row) => row.map((cost) => cost * factor)),
});

/** The space's costs on a device. A measured device's table is multiplied by what six whole random networks took. */
export async function collectCosts(space: SpaceDescription, kind: BudgetKind, device: Device | CpuDevice): Promise<Costs> {
  if (kind === "macs") return { kind, table: macsTable(space), calibration: 1 };
  const table = await latencyTable(space, device);
  if (!isCpu(device)) return { kind, table, calibration: 1 };
  const rng = createRng(17);
  const sample = Array.from({ length: 6 }, () => sampleArchitecture(space, rng));
  const graphs = sample.map((architecture) => architectureGraph(space, architecture));
  const estimates = sample.map((architecture) => costOf(table, architecture));
  const calibration = await measuredOverEstimated(graphs, estimates, device.threads);
  return { kind, table: scale(table, calibration), calibration };
}

/** @throws AppError INFEASIBLE naming the nearest reachable cost when no network of the space meets the budget */
export function requireFeasible(space: SpaceDescription, { kind, table }: Costs, budget: number): Feasibility {
  const reach = feasibility(table, budget, createRng(5));
  if (reach.minimum > budget) {
    const [limit, least] = [formatCost(kind, budget), formatCost(kind, reach.minimum)];
    throw new AppError(
      "INFEASIBLE",
      `nas: ${LIMIT_KINDS[kind].title} must be at least ${least} in the space ${space.name}, got a limit of ${limit} — raise it to ${admitting(reach.minimum, LIMIT_KINDS[kind].dimension)}, or search a smaller space`,
    );
  }
  return reach;
}

/** Absolute budget of a percentage: of the space's most expensive network. */
export const referenceCost = ({ table }: Costs): number => table.perChoice.reduce((sum, row) => sum + Math.max(...row), table.fixed);

export interface Derived {
  readonly architecture: Architecture;
  /** In ms as measured for the whole network, or MACs. */
  readonly cost: number;
  readonly isMet: boolean;
  /** How it was chosen: on validation images among networks drawn, or as the most probable, alone or within the budget. */
  readonly how: "best of those drawn" | "most probable" | "most probable within the limit";
}

const ATTEMPTS = 6;

/**
 * The best of the networks drawn, or where none was, the most probable network within the budget. Latencies are measured on the whole
 * exported network; while it is over the limit, a cheaper one is derived.
 */
export async function derive(
  { probabilities, candidates }: Pick<SearchResult, "probabilities" | "candidates">,
  space: SpaceDescription,
  { kind, table }: Costs,
  budget: number,
  device: Device | CpuDevice,
): Promise<Derived> {
  const argmax = mostProbable(probabilities).join();
  let allowed = budget;
  let best: Derived | null = null;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const drawn = candidates.find((one) => costOf(table, one) <= allowed);
    const architecture = drawn ?? mostProbableWithin(probabilities, table, allowed);
    if (!architecture) break;
    const predicted = costOf(table, architecture);
    const isMostProbable = architecture.join() === argmax;
    const how = isMostProbable ? "most probable" : drawn ? "best of those drawn" : "most probable within the limit";
    const cost =
      kind === "latency" && isCpu(device)
        ? await leastLatency(untrainedFile(architectureGraph(space, architecture)), budget, { threads: device.threads })
        : predicted;
    const derived: Derived = { architecture, cost, isMet: cost <= budget, how };
    if (!best || derived.cost < best.cost) best = derived;
    if (derived.isMet) return derived;
    allowed = Math.min(allowed * 0.985, predicted * (budget / cost));
  }
  if (best) return best;
  throw new AppError("INTERNAL", "internal: a feasible budget gave no architecture");
}

export interface NasOptions extends Omit<SearchOptions, "costs" | "target" | "isLatency" | "onEpoch"> {
  readonly device: Device | CpuDevice;
  readonly costs: Costs;
  readonly budget: number;
  readonly data: DataSplits;
  readonly onEpoch?: (report: SearchReport) => void;
}

export interface Found extends Derived {
  readonly search: { readonly probabilities: readonly (readonly number[])[]; readonly isCancelled: boolean };
}

/** Searches and derives: everything up to retraining. */
export async function findNetwork(options: NasOptions): Promise<Found> {
  const { costs, budget, space, device } = options;
  const result = await search({ ...options, costs: costs.table, target: budget, isLatency: costs.kind === "latency" });
  const { probabilities, isCancelled } = result;
  const derived = await derive(result, space, costs, budget, device);
  return { ...derived, search: { probabilities: probabilities.map((p) => [...p]), isCancelled } };
}
