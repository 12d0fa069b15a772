/** @file A sub-net as a model of its own, with statistics of its own. */
import type { DataSplits } from "../data/types.ts";
import type { Model } from "../graph/types.ts";
import { createParameters, exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import type { Subnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { createScope } from "../tensor/tensor.ts";
import { evaluate } from "../train/evaluate.ts";
import { finished } from "../util/disposal.ts";
import { createRng } from "../util/rng.ts";
import { viewOf } from "./supernet.ts";

/** Copies of the weights of a sub-net; its batch statistics are those of the supernet, which fit nothing. */
export function extract(space: ElasticSpace, shared: ParameterStore, subnet: Subnet): Model {
  using _scope = createScope();
  const graph = subnetGraph(space, subnet);
  return { graph, weights: exportWeights(viewOf(space, shared, graph, null)) };
}

/** The sub-net with batch statistics over `images`, equal batches of normalised training images. */
export function extractCalibrated(
  space: ElasticSpace,
  shared: ParameterStore,
  subnet: Subnet,
  images: readonly Float32Array[],
): { readonly graph: Model["graph"]; readonly params: ParameterStore } {
  const { graph, weights } = extract(space, shared, subnet);
  const view = viewOf(space, shared, graph, null);
  const params = finished(createParameters(view.specs, createRng(0)), (made) => {
    importWeights(made, weights);
    recalibrate(graph, made, images);
  });
  return { graph, params };
}

/** Share of the images of a set that the sub-net classifies as labelled, 0…1. */
export function subnetAccuracy(
  space: ElasticSpace,
  shared: ParameterStore,
  subnet: Subnet,
  { data, images, set = "validation" }: { data: DataSplits; images: readonly Float32Array[]; set?: "validation" | "test" },
): number {
  const { graph, params } = extractCalibrated(space, shared, subnet, images);
  using owned = params;
  return evaluate(graph, owned, data[set], { normalisation: data.normalisation }).accuracy;
}
