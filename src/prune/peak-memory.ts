/** @file The most activation memory of a pruned network, without building it. */
import { aliveValues } from "../graph/counts.ts";
import { inferShapes } from "../graph/shapes.ts";
import { type CostOf, widthAt, widthOf } from "./costs.ts";
import type { Prunable } from "./environment.ts";

const FLOAT_BYTES = 4;

/** Bytes, float32, one sample: see `peakActivationBytes`, whose schedule it keeps. */
export function peakMemoryCost({ graph, coupling, groups }: Prunable): CostOf {
  const shapes = inferShapes(graph);
  const bytesOf = new Map(
    [graph.input.name, ...graph.nodes.map(({ name }) => name)].map((name) => {
      const pixels = shapes
        .get(name)!
        .slice(1)
        .reduce((product, n) => product * n, 1);
      const width = widthOf(coupling.atomsOf.get(name)!, groups);
      return [name, (kept: ArrayLike<number>) => FLOAT_BYTES * pixels * widthAt(width, kept)] as const;
    }),
  );
  const moments = [[graph.input.name], ...aliveValues(graph, shapes)];
  return (kept) =>
    moments.reduce(
      (most, names) =>
        Math.max(
          most,
          names.reduce((sum, name) => sum + bytesOf.get(name)!(kept), 0),
        ),
      0,
    );
}
