/** @file What a quantised network is kept as: the ONNX file with its card, and the policy. */
import { withEndingOf } from "../graph/ending.ts";
import type { Precision } from "../hardware/precision.ts";
import { exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import type { QuantizedNetwork } from "../quantize/network.ts";
import type { WeightScheme } from "../quantize/weights.ts";
import type { Card, Constraint } from "./card.ts";
import type { CompressionOptions } from "./compression-steps.ts";
import { deploy, fileMetadata } from "./deploy.ts";
import type { RunFolder } from "./folder.ts";
import { constraintOf } from "./limit-kinds.ts";
import type { QuantizeLimits } from "./quantize-limits.ts";

type DeployedBy = Pick<CompressionOptions, "model" | "data" | "threads" | "recipe">;

export const deployCommon = ({ data, threads, recipe }: DeployedBy, folder: RunFolder) => ({ data, folder, threads, seed: recipe.seed });

type Measured = { readonly latency: { readonly p50Ms: number }; readonly fileBytes: number };
/** Every limit with its value for these bits: of the file where it is measured. */
export const constraintsOf =
  ({ limits }: QuantizeLimits, bits: readonly Precision[]) =>
  ({ latency, fileBytes }: Measured): Constraint[] =>
    limits.map(({ kind, limit, cost, obtained }) => {
      const value = obtained !== "measured" ? cost(bits) : kind === "size" ? fileBytes : latency.p50Ms;
      return constraintOf(kind, limit, value, obtained);
    });

/** The file of a network as it will be deployed. */
export function quantizedFile(
  { model, data }: Pick<CompressionOptions, "model" | "data">,
  { graph, params, encoded }: QuantizedNetwork,
  precision: ReadonlyMap<string, Precision>,
): Uint8Array {
  const whole = withEndingOf(model.graph, graph);
  const metadata = fileMetadata(whole, data.name, precision);
  return exportOnnx({ graph: whole, weights: exportWeights(params) }, { quantized: encoded(), metadata });
}

/** Writes model.onnx with the interface of the original and its card. */
export function deployQuantized(
  options: DeployedBy,
  { graph, params, encoded }: QuantizedNetwork,
  limits: QuantizeLimits,
  precision: ReadonlyMap<string, Precision>,
  bits: readonly Precision[],
  folder: RunFolder,
): Promise<Card> {
  return deploy({
    ...deployCommon(options, folder),
    graph: withEndingOf(options.model.graph, graph),
    params,
    quantized: encoded(),
    precision,
    constraints: constraintsOf(limits, bits),
  });
}

/** policy.json: bits by layer, and the list in HAQ's own form: [weight, activation] pairs, or weights alone for shared values. */
export function writePolicy(
  folder: RunFolder,
  layers: readonly { readonly name: string }[],
  bits: readonly Precision[],
  { limits }: QuantizeLimits,
  scheme: WeightScheme,
  facts: Readonly<Record<string, unknown>>,
): void {
  const haq =
    scheme === "kmeans"
      ? bits.map(({ weightBits }) => weightBits)
      : bits.map(({ weightBits, activationBits }) => [weightBits, activationBits]);
  const named = layers.map(({ name }, i) => ({ name, ...bits[i]! }));
  folder.writeJson("policy.json", {
    ...facts,
    limits: limits.map(({ kind, limit, cost }) => ({ kind, limit, value: cost(bits) })),
    layers: named,
    haq,
  });
}
