/** @file What share of its channels every group keeps, as AMC's paper draws its policies. Paper: He et al. 2018, arXiv:1802.03494, fig. 3. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface GroupDensity {
  readonly name: string;
  readonly channels: number;
  readonly kept: number;
}

export function densityFigure(groups: readonly GroupDensity[]): string {
  const bars = groups.map(({ name, channels, kept }, i) => ({ group: i + 1, name, share: (100 * kept) / channels, label: `${kept}` }));
  return svgOf({
    width: 90 + 26 * groups.length,
    height: 260,
    marginLeft: 50,
    x: { type: "band", label: "group of channels", domain: bars.map(({ group }) => group), tickSize: 0 },
    y: { label: "channels kept, %", domain: [0, 100], grid: true },
    marks: [
      Plot.barY(bars, { x: "group", y: "share", fill: COLOURS.blue, insetLeft: 1, insetRight: 1, title: "name" }),
      Plot.text(bars, { x: "group", y: "share", text: "label", dy: -6, fontSize: 9 }),
      Plot.ruleY([0]),
    ],
  });
}
