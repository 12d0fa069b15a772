/** @file What an agent sees of a layer. Paper: He et al. 2018 (AMC), section 3.1, eq. 1. */
import type { LayerShape } from "./costs.ts";

/** Columns scaled to [0, 1] over all rows; constant ones stay as they are. */
function normalised(rows: readonly (readonly number[])[]): number[][] {
  const columns = rows[0]!.map((_, c) => rows.map((row) => row[c]!));
  const bounds = columns.map((values) => [Math.min(...values), Math.max(...values)] as const);
  return rows.map((row) =>
    row.map((value, c) => (bounds[c]![1] > bounds[c]![0] ? (value - bounds[c]![0]) / (bounds[c]![1] - bounds[c]![0]) : value)),
  );
}

/** (t, n, c, h, w, stride, k, cost[t]) of each layer, every column scaled to [0, 1]; linear layers have stride 0 and kernel 1. */
export function layerFeatures(layers: readonly LayerShape[], costOf: (layer: LayerShape) => number): number[][] {
  return normalised(
    layers.map((layer, t) => {
      const { node, input, output } = layer;
      const [c = 1, h = 1, w = 1] = input;
      const [stride, kernel] = node.op === "conv" ? [node.attrs.stride[0], node.attrs.kernel[0]] : [0, 1];
      return [t, output[0]!, c, h, w, stride, kernel, costOf(layer)];
    }),
  );
}
