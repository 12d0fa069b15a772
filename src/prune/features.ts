/** @file What an agent sees of a layer. Paper: He et al. 2018 (AMC), section 3.1, eq. 1. */
import { normalisedColumns } from "../rl/features.ts";
import type { LayerShape } from "./costs.ts";

/** (t, n, c, h, w, stride, k, cost[t]) of each layer, every column scaled to [0, 1]; linear layers have stride 0 and kernel 1. */
export function layerFeatures(layers: readonly LayerShape[], costOf: (layer: LayerShape) => number): number[][] {
  return normalisedColumns(
    layers.map((layer, t) => {
      const { node, input, output } = layer;
      const [c = 1, h = 1, w = 1] = input;
      const [stride, kernel] = node.op === "conv" ? [node.attrs.stride[0], node.attrs.kernel[0]] : [0, 1];
      return [t, output[0]!, c, h, w, stride, kernel, costOf(layer)];
    }),
  );
}
