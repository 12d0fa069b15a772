/** @file Latency of mixed networks of float and integer layers on this CPU, from whole models that differ in one layer. */

import { measureTogether } from "../hardware/measure.ts";
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import type { PolicyCost, QuantizableLayer } from "./layers.ts";
import type { Quantization } from "./network.ts";

const EIGHT: Precision = { weightBits: 8, activationBits: 8 };
const FLOAT: Precision = { weightBits: FLOAT_BITS, activationBits: FLOAT_BITS };
/** Models timed in turns with the reference at once. */
const TOGETHER = 6;

/**
 * The latency of integers throughout, plus for each float layer what it alone changed, as measured. Conversions at the borders are in
 * it; where float layers are neighbours they are counted twice, so the found network is measured whole before it is believed.
 */
export async function measuredLatency(
  layers: readonly QuantizableLayer[],
  quantization: Quantization,
  threads: number,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<PolicyCost> {
  const fileOf = (bits: readonly Precision[]): Uint8Array => {
    using net = quantization.create(bits);
    return exportOnnx({ graph: net.graph, weights: exportWeights(net.params) }, { batch: 1, quantized: net.encoded() });
  };
  const integers = layers.map(() => EIGHT);
  const reference = fileOf(integers);
  const changes: number[] = [];
  const bases: number[] = [];
  for (let first = 0; first < layers.length; first += TOGETHER) {
    const part = layers.slice(first, first + TOGETHER).map((_, i) => fileOf(integers.map((p, j) => (j === first + i ? FLOAT : p))));
    const [base, ...others] = await measureTogether([reference, ...part], { threads });
    bases.push(base!);
    changes.push(...others.map((ms) => ms - base!));
    onProgress(Math.min(layers.length, first + TOGETHER), layers.length);
  }
  const base = bases.reduce((sum, ms) => sum + ms, 0) / bases.length;
  const [float] = await measureTogether([fileOf(layers.map(() => FLOAT))], { threads });
  const isFloat = (bits: readonly Precision[]) => bits.every(({ weightBits }) => weightBits === FLOAT_BITS);
  return (bits) =>
    isFloat(bits) ? float! : base + bits.reduce((sum, { weightBits }, i) => sum + (weightBits === FLOAT_BITS ? changes[i]! : 0), 0);
}
