/** @file Accuracy against a cost: everything that was tried, what nothing of it beats, and what was trained. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface Point {
  readonly cost: number;
  /** 0…1. */
  readonly accuracy: number;
}
export interface Candidate extends Point {
  readonly name: string;
}

export interface Front {
  /** e.g. "latency, ms". */
  readonly cost: string;
  /** As the search saw it: before training. */
  readonly tried: readonly Point[];
  /** Some of what a predictor scored. */
  readonly scored: readonly Point[];
  /** Those of them, or predicted points, that none beats in both. */
  readonly front: readonly Point[];
  readonly trained: readonly Candidate[];
  readonly limit: number | null;
  /** What was kept, where it was not trained beside others. */
  readonly chosen: Candidate | null;
}

/** Counts and bytes are told in thousands and millions. */
const LARGE = 1e4;
const at = { x: "cost", y: ({ accuracy }: Point) => 100 * accuracy } as const;

export function frontFigure({ cost, tried, scored, front, trained, limit, chosen }: Front): string {
  const isLarge = [...tried, ...scored, ...front, ...trained].some((point) => point.cost >= LARGE);
  return svgOf({
    width: 640,
    height: 320,
    marginLeft: 50,
    marginTop: 30,
    marginRight: 90,
    x: { label: cost, grid: true, nice: true, ...(isLarge ? { tickFormat: "~s" } : {}) },
    y: { label: "accuracy, %", grid: true, nice: true },
    marks: [
      ...(limit === null ? [] : [Plot.ruleX([limit], { stroke: COLOURS.red, strokeDasharray: "4 3" })]),
      Plot.dot([...tried, ...scored], { ...at, fill: COLOURS.grey, r: 1.5 }),
      Plot.line(
        [...front].sort((a, b) => a.cost - b.cost),
        { ...at, stroke: COLOURS.blue, curve: "step-after" },
      ),
      Plot.dot(front, { ...at, fill: COLOURS.blue, r: 2 }),
      Plot.dot(trained, { ...at, stroke: COLOURS.orange, r: 3.5 }),
      Plot.text(trained, { ...at, text: "name", dx: 8, textAnchor: "start" }),
      ...(chosen ? [Plot.dot([chosen], { ...at, fill: COLOURS.orange, symbol: "star", r: 7 })] : []),
    ],
  });
}
