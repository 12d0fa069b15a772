/** @file What predictors say of networks that they have not seen, against what those were measured to do. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface Prediction {
  /** Accuracies, 0…1. */
  readonly predicted: number;
  readonly measured: number;
}

export function predictedFigure(predictions: readonly Prediction[]): string {
  const points = predictions.map(({ predicted, measured }) => ({ predicted: 100 * predicted, measured: 100 * measured }));
  const values = points.flatMap(({ predicted, measured }) => [predicted, measured]);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return svgOf({
    width: 420,
    height: 360,
    marginLeft: 50,
    x: { label: "measured accuracy, %", grid: true, nice: true },
    y: { label: "predicted, %", grid: true, nice: true },
    marks: [
      Plot.line(
        [
          [least, least],
          [most, most],
        ],
        { stroke: COLOURS.grey, strokeDasharray: "4 3" },
      ),
      Plot.dot(points, { x: "measured", y: "predicted", stroke: COLOURS.blue, r: 3 }),
    ],
  });
}
