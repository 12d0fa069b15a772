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

const HEIGHT = 320;
/** What margins and round bounds leave of it. */
const SHARE_OF_AXIS = 0.75;
/** Pixels between the lines of names that would cover one another. */
const LINE = 11;
/** Costs that differ by less than this share are no different, and are not drawn as if they were. */
const LEAST_EXTENT = 0.04;

function extentOf(costs: readonly number[]): [number, number] {
  const [least, most] = [Math.min(...costs), Math.max(...costs)];
  return [Math.min(least, (1 - LEAST_EXTENT) * most), most];
}

/** Names from the top down, each with the pixels that it is moved down by to be read beside the one above. */
function placedNames(trained: readonly Candidate[], accuracies: readonly number[]): { readonly one: Candidate; readonly dy: number }[] {
  const perPixel = (Math.max(...accuracies) - Math.min(...accuracies)) / (SHARE_OF_AXIS * HEIGHT) || 1;
  let lowest = Number.NEGATIVE_INFINITY;
  return [...trained]
    .sort((a, b) => b.accuracy - a.accuracy)
    .map((one) => {
      const y = -one.accuracy / perPixel;
      lowest = Math.max(y, lowest + LINE);
      return { one, dy: lowest - y };
    });
}

export function frontFigure({ cost, tried, scored, front, trained, limit, chosen }: Front): string {
  const points = [...tried, ...scored, ...front, ...trained];
  const costs = [...points.map((point) => point.cost), ...(limit === null ? [] : [limit])];
  const isLarge = costs.some((value) => value >= LARGE);
  const names = placedNames(
    trained,
    points.map(({ accuracy }) => accuracy),
  );
  return svgOf({
    width: 640,
    height: HEIGHT,
    marginLeft: 50,
    marginTop: 30,
    marginRight: 90,
    x: { label: cost, grid: true, nice: true, domain: extentOf(costs), ...(isLarge ? { tickFormat: "~s" } : {}) },
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
      ...names.map(({ one, dy }) => Plot.text([one], { ...at, text: "name", dx: 8, dy, textAnchor: "start" })),
      ...(chosen ? [Plot.dot([chosen], { ...at, fill: COLOURS.orange, symbol: "star", r: 7 })] : []),
    ],
  });
}
