/** @file A network as a file to be timed: what a latency depends on is all there, trained or not. */
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import { createRng } from "../util/rng.ts";
import { median } from "../util/statistics.ts";
import { measureTogether } from "./measure.ts";

/** ONNX with random weights, for one image. */
export function untrainedFile(graph: Graph): Uint8Array {
  using params = createParameters(paramSpecs(graph), createRng(0));
  return exportOnnx({ graph, weights: exportWeights(params) }, { batch: 1 });
}

/** How much longer whole networks take on this CPU than was estimated: the median of the quotients. */
export async function measuredOverEstimated(graphs: readonly Graph[], estimatesMs: readonly number[], threads: number): Promise<number> {
  const measured = await measureTogether(graphs.map(untrainedFile), { threads });
  return median(measured.map((ms, i) => ms / estimatesMs[i]!));
}
