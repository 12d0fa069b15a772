/** @file Figures as SVG text: Observable Plot on a document without a browser. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

/** Draws a plot; lines and text take the colour of the page (`currentColor`), the background is the page's. */
export function svgOf(options: Plot.PlotOptions): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const style = { background: "transparent", fontFamily: "system-ui, sans-serif", ...(options.style as object | undefined) };
  const svg = Plot.plot({ ...options, style, document: document as unknown as NonNullable<Plot.PlotOptions["document"]> });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return svg.outerHTML;
}
