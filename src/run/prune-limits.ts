/** @file Limits of pruning: what a policy costs in the limit's unit, and whether the limit can be met at all. */
import { AppError } from "../errors.ts";
import type { Model } from "../graph/types.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import type { Device } from "../hardware/device.ts";
import { isAccelerator, isCpu } from "../hardware/kinds.ts";
import { measureTogether } from "../hardware/measure.ts";
import { type Accelerator, energyMjOf } from "../hardware/precision.ts";
import { exportOnnx } from "../onnx/export.ts";
import { acceleratorCost } from "../prune/accelerator.ts";
import { type CostOf, layerParams, sumOverLayers } from "../prune/costs.ts";
import { groupSizes, macsCost, narrowed, type Prunable } from "../prune/environment.ts";
import { latencyCost } from "../prune/latency.ts";
import { peakMemoryCost } from "../prune/peak-memory.ts";
import { admitting, type Quantity } from "../util/units.ts";
import { formatCost, LIMIT_KINDS } from "./limit-kinds.ts";

/** What is limited: MACs, parameters, bytes of the file or of activations, or milliseconds or millijoules on the device. */
export type PruneBudgetKind = "macs" | "params" | "size" | "peakMemory" | "latency" | "energy";

export type PruneDevice = Device | CpuDevice | Accelerator;

export interface PruneLimitOptions {
  readonly device: PruneDevice;
  /** What must hold at once; none: the accuracy-guaranteed protocol, whose reward weighs error against cost. */
  readonly budgets: readonly { readonly kind: PruneBudgetKind; readonly quantity: Quantity }[];
  /** What was measured when the run was begun; measured now where it is not known. */
  readonly measured?: MeasuredModel | null;
}

/** What the whole model, and the one with the fewest channels, take on the CPU. */
export interface MeasuredModel {
  readonly wholeMs: number;
  readonly leastMs: number;
}

export interface PruneLimit {
  readonly kind: PruneBudgetKind;
  readonly limit: number;
  readonly cost: CostOf;
  /** Where the limit is that of a latency on the CPU. */
  readonly measured?: MeasuredModel;
}

/** Room for the notes in a file: names of the network and of its data. */
const NOTES_BYTES = 256;

/** Size of the exported file: four bytes a number, biases that normalisation folds into included, and what the graph itself takes. */
function fileBytes(prunable: Prunable, model: Model): CostOf {
  const normalised = new Set(model.graph.nodes.filter(({ op }) => op === "batchNorm").map(({ inputs }) => inputs[0]));
  const numbers = sumOverLayers(prunable.layers, (layer, channelsIn, channelsOut) => {
    const isFolded = normalised.has(layer.node.name) && !layer.node.attrs.hasBias;
    return layerParams(layer, channelsIn, channelsOut) + (isFolded ? channelsOut : 0);
  });
  const rest = exportOnnx(model).length + NOTES_BYTES - 4 * numbers(groupSizes(prunable));
  return (kept) => rest + 4 * numbers(kept);
}

/**
 * Costs of the network by policy in each limit's unit. A latency on the CPU is the sum of layers, placed on the line between what the whole
 * model and the one with the fewest channels take: calls of small operators, which no pruning makes fewer, are in both.
 * @param widths step of channels, and the fewest of every group
 */
export async function pruneLimits(
  { budgets, device, measured: before = null }: PruneLimitOptions,
  prunable: Prunable,
  model: Model,
  { step, least }: { readonly step: number; readonly least: readonly number[] },
): Promise<PruneLimit[]> {
  const params = sumOverLayers(prunable.layers, layerParams);
  const sizes = groupSizes(prunable);
  let measured = before;
  const costs: Record<PruneBudgetKind, () => Promise<CostOf>> = {
    macs: async () => macsCost(prunable),
    params: async () => params,
    size: async () => fileBytes(prunable, model),
    peakMemory: async () => peakMemoryCost(prunable),
    energy: async () => {
      if (!isAccelerator(device))
        throw new AppError(
          "CONFIG",
          `prune: an energy limit must be that of a simulated accelerator, got ${device.name} — see fettle devices`,
        );
      return acceleratorCost(prunable.layers, device, (cost) => energyMjOf(cost, device));
    },
    latency: async () => {
      if (isAccelerator(device)) return acceleratorCost(prunable.layers, device, ({ latencyMs }) => latencyMs);
      const layers = await latencyCost(prunable.layers, device, step);
      if (!isCpu(device)) return (kept) => layers(kept) + device.overheadMs;
      if (!measured) {
        const files = [model, narrowed(model, prunable, least)].map((one) => exportOnnx(one, { batch: 1 }));
        const [wholeMs, leastMs] = await measureTogether(files, { threads: device.threads });
        measured = { wholeMs: wholeMs!, leastMs: Math.min(wholeMs!, leastMs!) };
      }
      const { wholeMs, leastMs } = measured;
      const [most, fewest] = [layers(sizes), layers(least)];
      const slope = most > fewest ? (wholeMs - leastMs) / (most - fewest) : 0;
      return (kept) => Math.max(0, leastMs + slope * (layers(kept) - fewest));
    },
  };
  const limits: PruneLimit[] = [];
  for (const { kind, quantity } of budgets) {
    const cost = await costs[kind]();
    const limit = quantity.kind === "absolute" ? quantity.value : quantity.ratio * cost(sizes);
    limits.push({ kind, cost, limit, ...(kind === "latency" && measured !== null ? { measured } : {}) });
  }
  return limits;
}

/** @throws AppError INFEASIBLE before anything is searched */
export function requireReachable({ kind, cost, limit }: PruneLimit, least: readonly number[]): void {
  const minimum = cost(least);
  if (minimum <= limit) return;
  const [wanted, nearest] = [formatCost(kind, limit), formatCost(kind, minimum)];
  throw new AppError(
    "INFEASIBLE",
    `prune: ${LIMIT_KINDS[kind].title} must be at least ${nearest} for this network, got a limit of ${wanted} — raise it to ${admitting(minimum, LIMIT_KINDS[kind].dimension)}, or allow fewer channels with --lowest or --channel-step`,
  );
}

/** Whether a limit's value is that of the file: its size, or its latency on a device that measures. */
export const isOfFile = (kind: PruneBudgetKind, { device }: PruneLimitOptions): boolean =>
  kind === "size" || (kind === "latency" && isCpu(device));
