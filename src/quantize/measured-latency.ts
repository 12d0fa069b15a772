/** @file Latency of mixed networks of float and integer layers on this CPU, from whole models that differ in one layer. */
import { measureTogether } from "../hardware/measure.ts";
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import { mean } from "../util/statistics.ts";
import type { PolicyCost, QuantizableLayer } from "./layers.ts";
import type { Quantization } from "./network.ts";

const EIGHT: Precision = { weightBits: 8, activationBits: 8 };
const FLOAT: Precision = { weightBits: FLOAT_BITS, activationBits: FLOAT_BITS };
/** Models timed in turns with the reference at once. */
const TOGETHER = 6;

/** Milliseconds. */
export interface LayerLatencies {
  /** Of the network on integers throughout, and on floats. */
  readonly integersMs: number;
  readonly floatsMs: number;
  /** By layer, what computing it alone with floats changed. */
  readonly changesMs: readonly number[];
}

/** Times the network on integers, on floats, and with each layer alone on floats. */
export async function measureLayers(
  layers: readonly QuantizableLayer[],
  quantization: Quantization,
  threads: number,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<LayerLatencies> {
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
  const [floatsMs] = await measureTogether([fileOf(layers.map(() => FLOAT))], { threads });
  return { integersMs: mean(bases), floatsMs: floatsMs!, changesMs: changes };
}

/**
 * The latency of integers throughout, plus for each float layer what it alone changed. Conversions at the borders are in it; where float
 * layers are neighbours they are counted twice, so the found network is measured whole before it is believed.
 */
export function measuredLatency({ integersMs, floatsMs, changesMs }: LayerLatencies): PolicyCost {
  const isFloat = ({ weightBits }: Precision) => weightBits === FLOAT_BITS;
  return (bits) => (bits.every(isFloat) ? floatsMs : bits.reduce((sum, one, i) => sum + (isFloat(one) ? changesMs[i]! : 0), integersMs));
}
