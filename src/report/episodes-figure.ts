/** @file Reward and exploration over the episodes of a search. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface EpisodePoint {
  readonly episode: number;
  /** 0…1 on validation images. */
  readonly accuracy: number;
  readonly reward: number;
  /** Deviation of the noise; null while actions are random. */
  readonly noise: number | null;
  readonly isBest: boolean;
}

/** Accuracy of every episode, the best so far, and below rewards and how far actions were varied. */
export function episodesFigure(episodes: readonly EpisodePoint[]): string {
  let best = 0;
  const points = episodes.map((point) => {
    if (point.isBest) best = point.accuracy;
    return { ...point, accuracy: 100 * point.accuracy, best: 100 * best, phase: point.noise === null ? "random" : "agent" };
  });
  const noisy = points.filter(({ noise }) => noise !== null);
  const accuracy = svgOf({
    width: 640,
    height: 240,
    marginLeft: 50,
    x: { label: null },
    y: { label: "validation accuracy, %", grid: true, nice: true },
    marks: [
      Plot.dot(points, {
        x: "episode",
        y: "accuracy",
        fill: (d: { phase: string }) => (d.phase === "random" ? COLOURS.grey : COLOURS.blue),
        r: 2,
      }),
      Plot.line(points, { x: "episode", y: "best", stroke: COLOURS.orange, strokeWidth: 2, curve: "step-after" }),
    ],
  });
  const rewards = svgOf({
    width: 640,
    height: 110,
    marginLeft: 50,
    x: { label: null },
    y: { label: "reward", grid: true, ticks: 3 },
    marks: [Plot.dot(points, { x: "episode", y: "reward", fill: COLOURS.blue, r: 1.5 })],
  });
  const exploration = svgOf({
    width: 640,
    height: 110,
    marginLeft: 50,
    x: { label: "episode", domain: [0, Math.max(1, points.length - 1)] },
    y: { label: "noise", grid: true, ticks: 3 },
    marks: [Plot.line(noisy, { x: "episode", y: "noise", stroke: COLOURS.blue })],
  });
  return accuracy + rewards + exploration;
}
