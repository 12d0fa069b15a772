/** @file Bits per layer: weights upwards, activations downwards, as HAQ's paper draws its policies. Paper: arXiv:1811.08886, fig. 3. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface LayerBits {
  readonly name: string;
  readonly isDepthwise: boolean;
  readonly weightBits: number;
  readonly activationBits: number;
}

const KINDS = { pointwise: COLOURS.blue, depthwise: COLOURS.orange } as const;
const WIDTH_OF_LAYER = 16;
const MARGINS = 90;

/** An SVG of one policy. @param title what it was found for */
export function bitsFigure(title: string, layers: readonly LayerBits[]): string {
  const most = Math.max(8, ...layers.flatMap(({ weightBits, activationBits }) => [weightBits, activationBits]));
  const bars = layers.flatMap(({ name, isDepthwise, weightBits, activationBits }, i) => {
    const kind = isDepthwise ? "depthwise" : "pointwise";
    return [
      { layer: i + 1, name, kind, what: "weights", bits: weightBits, label: weightBits },
      { layer: i + 1, name, kind, what: "activations", bits: -activationBits, label: activationBits },
    ];
  });
  return svgOf({
    width: MARGINS + WIDTH_OF_LAYER * layers.length,
    height: 260,
    marginLeft: 50,
    marginTop: 40,
    x: { type: "band", label: "layer", domain: layers.map((_, i) => i + 1), tickSize: 0 },
    y: {
      label: null,
      domain: [-most - 1, most + 1],
      ticks: [-8, -4, 0, 4, 8],
      tickFormat: (bits: number) => `${Math.abs(bits)}`,
      grid: true,
    },
    color: { domain: Object.keys(KINDS), range: Object.values(KINDS) },
    marks: [
      Plot.barY(bars, { x: "layer", y: "bits", fill: "kind", insetLeft: 0.5, insetRight: 0.5 }),
      ...[1, -1].map((side) => {
        const own = bars.filter(({ bits }) => Math.sign(bits) === side);
        return Plot.text(own, { x: "layer", y: "bits", text: "label", dy: -7 * side, fontSize: 9 });
      }),
      Plot.ruleY([0]),
      Plot.text([`${title}: bits of weights (up) and of activations (down)`], { frameAnchor: "top-left", dy: -32, fontSize: 12 }),
      Plot.text(["dense layers"], { frameAnchor: "top-left", dy: -16, fill: KINDS.pointwise, fontSize: 11 }),
      Plot.text(["depthwise layers"], { frameAnchor: "top-left", dx: 90, dy: -16, fill: KINDS.depthwise, fontSize: 11 }),
    ],
  });
}
