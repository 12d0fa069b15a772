/** @file Whether integers make a network fast enough on this CPU, as measured: known in seconds, before any bits are searched. */
import { AppError } from "../errors.ts";
import { leastLatency } from "../hardware/measure.ts";
import { uniformCandidates } from "../quantize/baselines.ts";
import { cheapestBits } from "../quantize/budget.ts";
import type { QuantizableLayer } from "../quantize/layers.ts";
import { policyOf, type Quantization } from "../quantize/network.ts";
import { admitting } from "../util/units.ts";
import type { CompressionOptions } from "./compression-steps.ts";
import { MEASURED_SHARE } from "./confirm.ts";
import { formatCost, LIMIT_KINDS } from "./limit-kinds.ts";
import type { QuantizeLimits } from "./quantize-limits.ts";
import { quantizedFile } from "./quantized-files.ts";

/**
 * Times the file with the bits that are least by estimate, and with the same bits everywhere.
 * @throws AppError INFEASIBLE when none of them is within the latency limit
 */
export async function requireFastBits(
  options: Pick<CompressionOptions, "model" | "data" | "threads">,
  layers: readonly QuantizableLayer[],
  quantization: Quantization,
  limits: QuantizeLimits,
): Promise<void> {
  const latency = limits.limits.find(({ kind, obtained }) => kind === "latency" && obtained === "measured");
  if (!latency) return;
  const limit = MEASURED_SHARE * latency.limit;
  let least = Number.POSITIVE_INFINITY;
  for (const bits of [cheapestBits(limits), ...uniformCandidates(limits)]) {
    using net = quantization.create(bits);
    least = Math.min(least, await leastLatency(quantizedFile(options, net, policyOf(layers, bits)), limit, { threads: options.threads }));
    if (least <= limit) return;
  }
  const nearest = least / MEASURED_SHARE;
  throw new AppError(
    "INFEASIBLE",
    `quantize: latency must be at least ${formatCost("latency", nearest)} with integers on this cpu, got a limit of ${formatCost("latency", latency.limit)} — raise it to ${admitting(nearest, LIMIT_KINDS.latency.dimension)}`,
  );
}
