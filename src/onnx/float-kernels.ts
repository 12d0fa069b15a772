/**
 * @file Layers that must compute with their weights as they are. Between dequantised activations and a QuantizeLinear, ONNX Runtime rounds a
 * layer's float weights to 8 bits with one step for the whole tensor (its WeightBiasQuantization), whatever they were meant to be. It does
 * so only where the activations have a single step: for such layers the same step is given once for every channel.
 */
import { isLayer } from "../graph/layers.ts";
import type { Graph, SampleShape } from "../graph/types.ts";
import { type Emitter, int } from "./nodes.ts";

/** Quantised values that are read by layers whose weights are no integers, with what such layers read instead; short, as there are many. */
export function floatInputs(graph: Graph, integers: ReadonlySet<string>): ReadonlyMap<string, string> {
  const quantized = new Set(graph.nodes.filter(({ op }) => op === "quantize").map(({ name }) => name));
  const read = graph.nodes.filter((node) => isLayer(node) && !integers.has(node.name)).map(({ inputs }) => inputs[0]!);
  const values = [...new Set(read)].filter((name) => quantized.has(name));
  let prefix = "each";
  while (graph.nodes.some(({ name }) => name.startsWith(prefix))) prefix += "_";
  return new Map(values.map((name, i) => [name, `${prefix}${i}`]));
}

/** An axis of the value, batch counted, along which there is more than one step to give. */
function longAxis(shape: SampleShape): number {
  const at = shape.findIndex((n) => n > 1);
  return at < 0 ? 1 : at + 1;
}

/** The numbers of a quantised value's codes under another name, with a step for every position along an axis. */
export function emitSpread(value: string, name: string, zero: string, shape: SampleShape, emit: Emitter): void {
  const axis = longAxis(shape);
  const extent = emit.ints(`extent.${shape[axis - 1]}`, [shape[axis - 1]!]);
  emit.node("Expand", [`${value}.step`, extent], `${name}.s`);
  emit.node("Expand", [zero, extent], `${name}.z`);
  emit.node("DequantizeLinear", [`${value}.codes`, `${name}.s`, `${name}.z`], name, [int("axis", axis)]);
}
