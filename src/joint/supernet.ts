/** @file The once-for-all network: the parameters of the largest sub-net, of which all others take parts. Paper: Cai et al. 2020, arXiv:1908.09791. */
import { type ParamSpec, paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, type ParameterStore } from "../nn/parameters.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { elasticBlocks, largestSubnet } from "../space/subnet.ts";
import { depthwiseOf, subnetGraph } from "../space/subnet-graph.ts";
import { linear, reshape } from "../tensor/ops/features.ts";
import { sliceVector, sliceWeight } from "../tensor/ops/slice.ts";
import type { Tape } from "../tensor/tape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";

/** Name of the matrix that makes the k×k kernels of a depthwise convolution out of the centres of its next larger ones. */
const transformName = (weight: string, kernel: number): string => `${weight}.transform${kernel}`;

/** Parameters of the whole supernet: the largest network's, and a matrix [k², k²] for each smaller kernel of each block. */
export function supernetSpecs(space: ElasticSpace): ReadonlyMap<string, ParamSpec> {
  const specs = new Map(paramSpecs(subnetGraph(space, largestSubnet(space))));
  for (const { name } of elasticBlocks(space)) {
    const weight = `${depthwiseOf(name)}.conv.weight`;
    for (const kernel of space.kernels.slice(0, -1)) {
      const cells = kernel * kernel;
      const transform = transformName(weight, kernel);
      specs.set(transform, {
        name: transform,
        node: depthwiseOf(name),
        role: "transform",
        op: "conv",
        shape: [cells, cells],
        fanIn: cells,
        fanOut: cells,
        isTrainable: true,
      });
    }
  }
  return specs;
}

export const createSupernet = (space: ElasticSpace, rng: Rng): ParameterStore => createParameters(supernetSpecs(space), rng);

/** The first `channels` kernels of a depthwise weight [C, 1, K, K] at k×k: step by step the centre, times the step's matrix. */
function smallerKernels(
  tape: Tape | null,
  shared: ParameterStore,
  name: string,
  channels: number,
  kernel: number,
  kernels: readonly number[],
) {
  let weight = shared.get(name);
  for (const next of kernels.filter((k) => k >= kernel && k < weight.shape[2]!).toReversed()) {
    const centre = sliceWeight(tape, weight, { out: channels, in: 1, kernel: next });
    const rows = linear(tape, reshape(tape, centre, [channels, next * next]), shared.get(transformName(name, next)), null);
    weight = reshape(tape, rows, [channels, 1, next, next]);
  }
  return weight;
}

/** The part of a shared parameter that has the shape of `spec`. */
function partOf(tape: Tape | null, shared: ParameterStore, { name, shape }: ParamSpec, kernels: readonly number[]): Tensor {
  const whole = shared.get(name);
  if (whole.shape.join() === shape.join()) return whole;
  if (shape.length === 1) return sliceVector(tape, whole, shape[0]!);
  const [out, inputs, kernel] = shape as [number, number, number];
  const isSmaller = kernel < whole.shape[2]!;
  return isSmaller ? smallerKernels(tape, shared, name, out, kernel, kernels) : sliceWeight(tape, whole, { out, in: inputs, kernel });
}

/**
 * The parameters of a sub-net as parts of the shared ones, so that its gradients reach them; valid in the tensor scope they are
 * first asked for in. Batch statistics belong to no sub-net: run it in mode "batch", or extract and recalibrate it.
 */
export function viewOf(space: ElasticSpace, shared: ParameterStore, graph: Graph, tape: Tape | null): ParameterStore {
  const specs = paramSpecs(graph);
  const parts = new Map<string, Tensor>();
  return {
    specs,
    trainable: [],
    get: (name) => {
      const part = parts.get(name) ?? partOf(tape, shared, specs.get(name)!, space.kernels);
      parts.set(name, part);
      return part;
    },
    [Symbol.dispose]: () => {},
  };
}
