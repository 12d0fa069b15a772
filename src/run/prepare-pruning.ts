/** @file A trained model made ready to lose channels: what can go, in which steps, what it costs, and whether the limits can be met. */
import { AppError } from "../errors.ts";
import { requireComputable } from "../graph/opaque.ts";
import type { Model } from "../graph/types.ts";
import type { Rounding } from "../prune/budget.ts";
import { type CostOf, layerParams, sumOverLayers } from "../prune/costs.ts";
import { analyse, type EnvironmentOptions, groupSizes, hasDepthwise, macsCost, memberSteps, type Prunable } from "../prune/environment.ts";
import { channelStep } from "../prune/latency.ts";
import { cheapest } from "../prune/policies.ts";
import type { RewardName } from "../prune/reward.ts";
import { combined } from "../util/combined-limits.ts";
import { CALIBRATION_BATCHES, type CompressionOptions, calibrationImages, trainable } from "./compression-steps.ts";
import type { RunFolder } from "./folder.ts";
import { formatCost } from "./limit-kinds.ts";
import { type MeasuredModel, type PruneLimit, type PruneLimitOptions, pruneLimits, requireReachable } from "./prune-limits.ts";
import { readKept } from "./resume.ts";

export interface PruneOptions extends CompressionOptions, PruneLimitOptions {
  readonly reward: RewardName;
  /** Multiple of channels, or "device" for the device's own step. */
  readonly step: number | "device";
  readonly lowest: number;
  /** Train rules of thumb and a random policy alike. */
  readonly baselines: boolean;
}

export interface PreparedPruning {
  readonly images: readonly Float32Array[];
  /** Up to its logits, with batch normalisation. */
  readonly model: Model;
  readonly prunable: Prunable;
  /** Channels of every group as it is. */
  readonly sizes: readonly number[];
  readonly step: number;
  readonly rounding: Rounding;
  readonly limits: readonly PruneLimit[];
  readonly macsOf: CostOf;
  readonly paramsOf: CostOf;
  /** In the unit of each limit, in their order; MACs when nothing is limited. */
  readonly costsOf: (kept: readonly number[]) => readonly number[];
}

/** Of the run's folder: what the model took on this CPU, so that a run that is gone on with has the same limits. */
const MEASURED = "costs.json";

/** Keeps what was measured for the limits. */
export function writeMeasured(folder: RunFolder, limits: readonly PruneLimit[]): void {
  const measured = limits.find((limit) => limit.measured !== undefined);
  if (measured) folder.writeJson(MEASURED, measured.measured);
}

/** What a policy must be within. */
export const boundsOf = ({ prunable, macsOf, rounding }: PreparedPruning, limits: readonly PruneLimit[]): EnvironmentOptions => ({
  prunable,
  rounding,
  ...combined(limits, macsOf),
});

/** @throws AppError CONFIG, INFEASIBLE, ONNX */
export async function preparePruning(options: PruneOptions): Promise<PreparedPruning> {
  const { data, source, recipe, dir } = options;
  requireComputable(options.model.graph, source);
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const model = trainable(options.model, images);
  const prunable = analyse(model.graph);
  if (prunable.groups.length === 0)
    throw new AppError("INFEASIBLE", `prune: ${source} must have channels that can be removed, got none — see --list-groups`);
  const step = options.step === "device" ? await channelStep(options.device, { hasDepthwise: hasDepthwise(prunable) }) : options.step;
  const rounding: Rounding = { step, steps: memberSteps(prunable, step), lowest: options.lowest, isStrict: true };
  const least = cheapest({ prunable, rounding });
  const measured = readKept<MeasuredModel>(dir, MEASURED, options) ?? options.measured ?? null;
  const limits = await pruneLimits({ ...options, measured }, prunable, model, { step, least });
  for (const limit of limits) requireReachable(limit, least);
  const sizes = groupSizes(prunable);
  if (limits.length > 0 && limits.every(({ cost, limit }) => limit >= cost(sizes))) {
    const [{ kind, cost, limit }] = limits as [PruneLimit];
    const [most, wanted] = [cost(sizes), limit].map((value) => formatCost(kind, value));
    throw new AppError(
      "CONFIG",
      `prune: the limit must be below what ${source} has now, ${most}, got ${wanted} — nothing needs to be removed`,
    );
  }
  const [macsOf, paramsOf] = [macsCost(prunable), sumOverLayers(prunable.layers, layerParams)];
  const costs = limits.length > 0 ? limits.map(({ cost }) => cost) : [macsOf];
  return {
    images,
    model,
    prunable,
    sizes,
    step,
    rounding,
    limits,
    macsOf,
    paramsOf,
    costsOf: (kept) => costs.map((cost) => cost(kept)),
  };
}
