/** @file Whether pruning and fewer bits can bring a network of a space within every limit: asked of its smallest, before anything is trained. */
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { CALIBRATION_BATCHES, calibrationImages, trainable } from "../run/compression-steps.ts";
import { createRng } from "../util/rng.ts";
import type { CostLimit } from "./limits.ts";
import { reachOf, requireReach } from "./reach.ts";
import type { StageSettings } from "./settings.ts";

/** @throws AppError INFEASIBLE naming the nearest limit that can be met; CONFIG for a cost that the device cannot tell */
export async function requireReachOfSmallest(
  graph: Graph,
  costs: readonly CostLimit[],
  { data, device, recipe, onProgress }: StageSettings,
): Promise<void> {
  using params = createParameters(paramSpecs(graph), createRng(recipe.seed));
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  const { reached } = await reachOf({
    model: trainable({ graph, weights: exportWeights(params) }, images),
    costs,
    device,
    arithmetic: "integers",
    images,
    seed: recipe.seed,
    onMeasured: (done, total) => onProgress?.({ task: "measuring layers", done, total }),
  });
  for (const limit of reached) requireReach(limit, "the smallest network of the space");
}
