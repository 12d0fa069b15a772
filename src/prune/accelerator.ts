/** @file What a pruned network costs on a simulated accelerator, at any number of channels. */
import { type Accelerator, geometryOf, type LayerCost } from "../hardware/precision.ts";
import { type CostOf, type LayerShape, sumOverLayers } from "./costs.ts";

const EIGHT = { weightBits: 8, activationBits: 8 } as const;

/**
 * Sum over the layers with 8-bit weights and activations; channels are rounded to whole ones.
 * @throws AppError CONFIG where the device does not know the metric
 */
export function acceleratorCost(layers: readonly LayerShape[], device: Accelerator, metric: (cost: LayerCost) => number): CostOf {
  const known = layers.map(() => new Map<number, number>());
  const positions = new Map(layers.map((layer, i) => [layer, i]));
  const costAt = (layer: LayerShape, channelsIn: number, channelsOut: number): number => {
    const input = [channelsIn, ...layer.input.slice(1)];
    const output = [channelsOut, ...layer.output.slice(1)];
    const geometry = geometryOf(layer.node, input, output);
    const groups = layer.isDepthwise ? channelsIn : geometry.groups;
    return metric(device.layerCost({ ...geometry, groups }, EIGHT));
  };
  return sumOverLayers(layers, (layer, channelsIn, channelsOut) => {
    const [from, to] = [Math.round(channelsIn), Math.round(channelsOut)];
    if (from < 1 || to < 1) return 0;
    const table = known[positions.get(layer)!]!;
    const key = from * 65_536 + to;
    let cost = table.get(key);
    if (cost === undefined) {
      cost = costAt(layer, from, to);
      table.set(key, cost);
    }
    return cost;
  });
}
