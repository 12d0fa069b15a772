/** @file What every layer costs on the device, before and after. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface LayerCostPair {
  readonly name: string;
  /** null where the layer is not there. */
  readonly before: number | null;
  readonly after: number | null;
}

export function layerCostFigure(unit: string, layers: readonly LayerCostPair[]): string {
  const bars = layers.flatMap(({ before, after }, i) => [
    { layer: i + 1, when: "before", cost: before ?? 0 },
    { layer: i + 1, when: "after", cost: after ?? 0 },
  ]);
  return svgOf({
    width: 90 + 22 * layers.length,
    height: 240,
    marginLeft: 60,
    x: { type: "band", label: "layer", domain: layers.map((_, i) => i + 1), tickSize: 0 },
    y: { label: unit, grid: true },
    marks: [
      Plot.barY(
        bars.filter(({ when }) => when === "before"),
        { x: "layer", y: "cost", fill: COLOURS.grey, fillOpacity: 0.5, insetLeft: 1, insetRight: 1 },
      ),
      Plot.barY(
        bars.filter(({ when }) => when === "after"),
        { x: "layer", y: "cost", fill: COLOURS.blue, insetLeft: 4, insetRight: 4 },
      ),
      Plot.ruleY([0]),
    ],
  });
}
