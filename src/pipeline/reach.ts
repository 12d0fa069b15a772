/** @file Feasibility of a model's limits before anything is searched: what pruning and fewer bits can do about each. */
import { AppError } from "../errors.ts";
import type { Model } from "../graph/types.ts";
import { isAccelerator, isCpu } from "../hardware/kinds.ts";
import { FLOAT_BITS } from "../hardware/precision.ts";
import { analyse, groupSizes, hasDepthwise, memberSteps, narrowed } from "../prune/environment.ts";
import { channelStep } from "../prune/latency.ts";
import { cheapest } from "../prune/policies.ts";
import { cheapestBits, uniformBits } from "../quantize/budget.ts";
import { withParameters } from "../run/compression-steps.ts";
import { formatCost, LIMIT_KINDS, nameCost } from "../run/limit-kinds.ts";
import { prepareQuantization } from "../run/prepare-quantization.ts";
import { type MeasuredModel, type PruneDevice, pruneLimits } from "../run/prune-limits.ts";
import { quantizeCosts } from "../run/quantize-limits.ts";
import { admitting } from "../util/units.ts";
import { BITOPS_PER_MAC, type CostKind, type CostLimit, dependsOnBits, PRUNED_AS } from "./limits.ts";
import { type Leverage, shareOfPruning } from "./shares.ts";

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

/** A cost over what pruning limits for it: BitOps at 8 bits over MACs, else the same. */
const perPruned = (kind: CostKind): number => (kind === "bitops" ? BITOPS_PER_MAC : 1);
const WHOLE = { kind: "percent", ratio: 1 } as const;

/** Whether a CPU is to compute with integers where its latency asks for it, or with floats, which bits only store. */
export type Arithmetic = "integers" | "floats";

/** The limits that quantisation is to mind: a latency on this CPU that is met with floats leaves the bits free, which then only store weights. */
export const bearingOnBits = <T extends { readonly kind: CostKind; readonly now: number; readonly limit: number }>(
  costs: readonly T[],
  device: PruneDevice,
  arithmetic: Arithmetic,
): T[] => costs.filter(({ kind, now, limit }) => !(kind === "latency" && isCpu(device) && (arithmetic === "floats" || limit >= now)));

/** How quantisation is to go about the limits: bytes of a file alone need no device, and may share values. */
export function quantizationFor(costs: readonly Pick<CostLimit, "kind">[], device: PruneDevice) {
  const kinds = costs.map(({ kind }) => kind).filter((kind) => dependsOnBits(kind, device));
  const isSizeAlone = kinds.every((kind) => kind === "size");
  const isForDevice = kinds.some((kind) => kind === "latency" || kind === "energy");
  const own = isForDevice && (isAccelerator(device) || isCpu(device)) ? device : null;
  return { kinds, device: own, scheme: isSizeAlone ? "kmeans" : "linear" } as const;
}

export interface ReachOptions {
  /** Up to its logits, with batch normalisation. */
  readonly model: Model;
  readonly costs: readonly CostLimit[];
  readonly device: PruneDevice;
  readonly arithmetic: Arithmetic;
  /** What the model takes on this CPU, where that was measured before. */
  readonly measured?: MeasuredModel | null;
  /** Equal batches of normalised training images. */
  readonly images: readonly Float32Array[];
  readonly seed: number;
  readonly onMeasured: (done: number, total: number) => void;
}

/** What 8 and the fewest bits make of each cost that they change. */
async function bitCosts(
  model: Model,
  { kinds, device: quantized, scheme }: ReturnType<typeof quantizationFor>,
  { images, seed, onMeasured }: ReachOptions,
): Promise<ReadonlyMap<CostKind, { readonly eight: number; readonly fewest: number }>> {
  if (kinds.length === 0) return new Map();
  const isOnCpu = quantized !== null && isCpu(quantized);
  const told = await withParameters(model, async (params) => {
    const how = { images, seed, scheme, calibration: "mse", areResultsQuantized: isOnCpu } as const;
    const { layers, quantization } = prepareQuantization(model, params, how);
    const budgets = kinds.map((kind) => ({ kind, quantity: WHOLE }));
    const options = { budgets, device: quantized, bits: BITS, scheme, original: model.graph, data: "", onProgress: onMeasured };
    return quantizeCosts(model, layers, quantization, options);
  });
  const { choices, pins, limits } = told;
  const eightBits = { weightBits: 8, activationBits: choices.activationBits.includes(8) ? 8 : FLOAT_BITS };
  return new Map(
    limits.map(({ kind, cost }) => {
      const fewest = cost(cheapestBits({ choices, pins, cost }));
      // on a CPU integers throughout are no goal: some layers are slower with them
      const eight = kind === "latency" && isOnCpu ? fewest : cost(uniformBits(pins, eightBits));
      return [kind, { eight, fewest }] as const;
    }),
  );
}

export interface Reach {
  readonly reached: readonly ReachedLimit[];
  /** Of channels to prune by. */
  readonly step: number;
  /** Where a latency is that on this CPU: pruning goes by the same. */
  readonly measured: MeasuredModel | null;
}

/** @throws AppError CONFIG for a cost that the device cannot tell */
export async function reachOf(options: ReachOptions): Promise<Reach> {
  const { model, costs, device, arithmetic, measured = null } = options;
  const prunable = analyse(model.graph);
  // whatever is limited: channels in other steps would make the network slower
  const step = await channelStep(device, { hasDepthwise: hasDepthwise(prunable) });
  const sizes = groupSizes(prunable);
  const rounding = { step, steps: memberSteps(prunable, step), lowest: LOWEST_DENSITY, isStrict: true };
  const least = cheapest({ prunable, rounding });
  const budgets = [...new Set(costs.map(({ kind }) => PRUNED_AS[kind]))].map((kind) => ({ kind, quantity: WHOLE }));
  const byKind = new Map(
    (await pruneLimits({ budgets, device, measured }, prunable, model, { step, least })).map((limit) => [limit.kind, limit]),
  );
  const costAt = (kind: CostKind, kept: readonly number[]) => perPruned(kind) * byKind.get(PRUNED_AS[kind])!.cost(kept);
  const asked = costs.map(({ kind, quantity }) => {
    const now = costAt(kind, sizes);
    return { kind, quantity, now, limit: quantity.kind === "absolute" ? quantity.value : quantity.ratio * now };
  });
  const quantization = quantizationFor(bearingOnBits(asked, device, arithmetic), device);
  const bits = await bitCosts(model, quantization, options);
  // a CPU would be measured layer by layer once more, for what is then measured whole
  const known = isCpu(device) ? quantization.kinds.filter((kind) => kind !== "latency") : quantization.kinds;
  const bitsOfLeast = await bitCosts(narrowed(model, prunable, least), { ...quantization, kinds: known }, options);
  const reached = asked.map(({ kind, now, limit }): ReachedLimit => {
    const pruned = costAt(kind, least) / now;
    const own = bits.get(kind) ?? { eight: now, fewest: now };
    const fewestBits = Math.min(1, own.fewest / now);
    const both = (bitsOfLeast.get(kind)?.fewest ?? fewestBits * pruned * now) / now;
    const leverage = { pruned, eightBits: Math.min(1, own.eight / now), fewestBits, both: Math.min(both, pruned, fewestBits) };
    return { kind, now, limit, leverage };
  });
  return { reached, step, measured: byKind.get("latency")?.measured ?? null };
}

/** One line a limit: now, the limit, and what can be reached. */
export function describeReach({ kind, now, limit, leverage }: ReachedLimit): string {
  const { format } = LIMIT_KINDS[kind];
  const { pruned, fewestBits, both } = leverage;
  const bits = fewestBits < 1 ? `, fewer bits ${format(fewestBits * now)}, both ${format(both * now)}` : "";
  return `${nameCost(kind, now)}, limit ${format(limit)}: pruning can reach ${format(pruned * now)}${bits}`;
}

/** @throws AppError INFEASIBLE naming the nearest limit that can be met */
export function requireReach({ kind, now, limit, leverage }: ReachedLimit, of = "this model"): void {
  const least = leverage.both * now;
  if (least <= limit) return;
  const { title, dimension } = LIMIT_KINDS[kind];
  throw new AppError(
    "INFEASIBLE",
    `optimize: ${title} must be at least ${formatCost(kind, least)} for ${of}, got a limit of ${formatCost(kind, limit)} — raise it to ${admitting(least, dimension)}`,
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
