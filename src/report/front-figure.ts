/** @file Accuracy against a cost: every candidate, what nothing beats, and what was chosen. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface Candidate {
  readonly name: string;
  readonly cost: number;
  /** 0…1. */
  readonly accuracy: number;
}

export interface Front {
  /** e.g. "latency, ms". */
  readonly cost: string;
  readonly candidates: readonly Candidate[];
  /** Candidates that none beats in both, by name or as points of their own. */
  readonly front: readonly Omit<Candidate, "name">[];
  readonly limit: number | null;
  /** Of the model that was kept. */
  readonly chosen: Candidate | null;
}

const percent = (accuracy: number) => 100 * accuracy;

export function frontFigure({ cost, candidates, front, limit, chosen }: Front): string {
  return svgOf({
    width: 640,
    height: 320,
    marginLeft: 50,
    marginTop: 30,
    marginRight: 90,
    x: { label: cost, grid: true, nice: true },
    y: { label: "accuracy, %", grid: true, nice: true },
    marks: [
      ...(limit === null ? [] : [Plot.ruleX([limit], { stroke: COLOURS.red, strokeDasharray: "4 3" })]),
      Plot.line(
        [...front].sort((a, b) => a.cost - b.cost),
        { x: "cost", y: (d: Candidate) => percent(d.accuracy), stroke: COLOURS.blue, curve: "step-after" },
      ),
      Plot.dot(front, { x: "cost", y: (d: Candidate) => percent(d.accuracy), fill: COLOURS.blue, r: 2 }),
      Plot.dot(candidates, { x: "cost", y: (d: Candidate) => percent(d.accuracy), stroke: COLOURS.grey, r: 3.5 }),
      Plot.text(candidates, { x: "cost", y: (d: Candidate) => percent(d.accuracy), text: "name", dx: 8, textAnchor: "start" }),
      ...(chosen
        ? [Plot.dot([chosen], { x: "cost", y: (d: Candidate) => percent(d.accuracy), fill: COLOURS.orange, symbol: "star", r: 7 })]
        : []),
    ],
  });
}
