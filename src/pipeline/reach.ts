/** @file Feasibility of a model's limits before anything is searched: what pruning and fewer bits can do about each. */
import { AppError } from "../errors.ts";
import type { Model } from "../graph/types.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import { FLOAT_BITS } from "../hardware/precision.ts";
import { isAccelerator } from "../joint/limits.ts";
import { analyse, groupSizes, macsCost } from "../prune/environment.ts";
import { channelStep } from "../prune/latency.ts";
import { cheapest } from "../prune/policies.ts";
import { cheapestBits, uniformBits } from "../quantize/budget.ts";
import { withParameters } from "../run/compression-steps.ts";
import { formatCost, LIMIT_KINDS } from "../run/limit-kinds.ts";
import { prepareQuantization } from "../run/prepare-quantization.ts";
import { type PruneDevice, pruneLimits } from "../run/prune-limits.ts";
import { type QuantizeCosts, quantizeCosts } from "../run/quantize-limits.ts";
import { admitting } from "../util/units.ts";
import { type CostKind, type CostLimit, dependsOnBits, PRUNED_AS } from "./limits.ts";
import { type Leverage, leastShare, shareOfPruning } from "./shares.ts";

export interface ReachedLimit {
  readonly kind: CostKind;
  /** In the kind's unit. */
  readonly limit: number;
  /** Of the model as it is: with floats, or at 8 bits on an accelerator and in BitOps. */
  readonly now: number;
  readonly leverage: Leverage;
}

/** Pruning keeps at least this share of the channels of a group. */
export const LOWEST_DENSITY = 0.2;
export const BITS = { lowest: 2, highest: 8 } as const;
const EIGHT_BITS = 8;

/** A cost over what pruning limits for it: BitOps at 8 bits over MACs, else the same. */
const perPruned = (kind: CostKind): number => (kind === "bitops" ? EIGHT_BITS ** 2 : 1);

/** How quantisation is to go about the limits: bytes of a file alone need no device, and may share values. */
export function quantizationFor(costs: readonly Pick<CostLimit, "kind">[], device: PruneDevice) {
  const kinds = costs.map(({ kind }) => kind).filter((kind) => dependsOnBits(kind, device));
  const isSizeAlone = kinds.every((kind) => kind === "size");
  const own = isAccelerator(device) || device.kind === "measured" ? (device as CpuDevice) : null;
  const isForDevice = kinds.some((kind) => kind === "latency" || kind === "energy");
  return { kinds, device: isForDevice ? own : null, scheme: isSizeAlone ? "kmeans" : "linear" } as const;
}

/** What bits leave of each cost that they change, as shares of the float or 8-bit cost that pruning knows. */
function bitShares({ choices, pins, limits }: QuantizeCosts, now: ReadonlyMap<CostKind, number>) {
  return new Map(
    limits.map(({ kind, cost, obtained }) => {
      const fewest = cost(cheapestBits({ choices, pins, cost })) / now.get(kind)!;
      const eight = { weightBits: EIGHT_BITS, activationBits: choices.activationBits.includes(EIGHT_BITS) ? EIGHT_BITS : FLOAT_BITS };
      // on a CPU integers throughout are no goal: some layers are slower with them
      const eightBits = kind === "latency" && obtained === "measured" ? fewest : cost(uniformBits(pins, eight)) / now.get(kind)!;
      return [kind as CostKind, { eightBits: Math.min(1, eightBits), fewestBits: Math.min(1, fewest) }] as const;
    }),
  );
}

export interface ReachOptions {
  /** Up to its logits, with batch normalisation. */
  readonly model: Model;
  readonly costs: readonly CostLimit[];
  readonly device: PruneDevice;
  /** Equal batches of normalised training images. */
  readonly images: readonly Float32Array[];
  readonly seed: number;
  readonly onMeasured?: (done: number, total: number) => void;
}

/** @throws AppError CONFIG for a cost that the device cannot tell */
export async function reachOf({ model, costs, device, images, seed, onMeasured }: ReachOptions): Promise<ReachedLimit[]> {
  const prunable = analyse(model.graph);
  const step = await channelStep(device);
  const sizes = groupSizes(prunable);
  const whole = { kind: "percent", ratio: 1 } as const;
  const budgets = [...new Set(costs.map(({ kind }) => PRUNED_AS[kind]))].map((kind) => ({ kind, quantity: whole }));
  const byKind = new Map((await pruneLimits({ budgets, device }, prunable, model, step)).map((limit) => [limit.kind, limit]));
  const rounding = { step, lowest: LOWEST_DENSITY, isStrict: true };
  const least = cheapest({ prunable, cost: macsCost(prunable), budget: 0, rounding });
  const prunedCost = (kind: CostKind) => byKind.get(PRUNED_AS[kind])!.cost;
  const now = new Map(costs.map(({ kind }) => [kind, perPruned(kind) * prunedCost(kind)(sizes)] as const));
  const { kinds, device: quantized, scheme } = quantizationFor(costs, device);
  const shares =
    kinds.length === 0
      ? new Map<CostKind, Pick<Leverage, "eightBits" | "fewestBits">>()
      : await withParameters(model, async (params) => {
          const how = { images, seed, scheme, calibration: "mse", areResultsQuantized: quantized?.kind === "measured" } as const;
          const { layers, quantization } = prepareQuantization(model, params, how);
          const limited = kinds.map((kind) => ({ kind, quantity: whole }));
          const options = { budgets: limited, device: quantized, bits: BITS, scheme, ...(onMeasured ? { onProgress: onMeasured } : {}) };
          return bitShares(await quantizeCosts(model, layers, quantization, options), now);
        });
  return costs.map(({ kind, quantity }) => ({
    kind,
    now: now.get(kind)!,
    limit: quantity.kind === "absolute" ? quantity.value : quantity.ratio * now.get(kind)!,
    leverage: {
      pruned: prunedCost(kind)(least) / prunedCost(kind)(sizes),
      ...(shares.get(kind) ?? { eightBits: 1, fewestBits: 1 }),
    },
  }));
}

/** One line a limit: now, the limit, and what can be reached. */
export function describeReach({ kind, now, limit, leverage }: ReachedLimit): string {
  const { title, format } = LIMIT_KINDS[kind];
  const { pruned, fewestBits } = leverage;
  const bits = fewestBits < 1 ? `, fewer bits ${format(fewestBits * now)}, both ${format(leastShare(leverage) * now)}` : "";
  return `${title} ${format(now)}, limit ${format(limit)}: pruning can reach ${format(pruned * now)}${bits}`;
}

/** @throws AppError INFEASIBLE naming the nearest limit that can be met */
export function requireReach({ kind, now, limit, leverage }: ReachedLimit): void {
  const least = leastShare(leverage) * now;
  if (least <= limit) return;
  const { title, dimension } = LIMIT_KINDS[kind];
  throw new AppError(
    "INFEASIBLE",
    `optimize: ${title} must be at least ${formatCost(kind, least)} for this model, got a limit of ${formatCost(kind, limit)} — raise it to ${admitting(least, dimension)}`,
  );
}

/** What pruning must reach of each cost, in the unit of what it limits; costs that 8 bits alone bring down are left out. */
export function pruningTargets(reached: readonly ReachedLimit[]) {
  return reached.flatMap(({ kind, now, limit, leverage }) => {
    const share = shareOfPruning(limit / now, leverage);
    return share === null
      ? []
      : [{ kind: PRUNED_AS[kind], quantity: { kind: "absolute", value: (share * now) / perPruned(kind) } as const }];
  });
}
