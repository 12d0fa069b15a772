/** @file Batch normalisation put back where exporters folded it away: pruning and fine-tuning need its statistics. */
import { inferShapes } from "../graph/shapes.ts";
import type { Graph, Model, Node, Weight } from "../graph/types.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import type { ParameterStore } from "./parameters.ts";
import { run } from "./run.ts";

const EPSILON = 1e-5;

interface Moments {
  count: number;
  readonly sum: Float64Array;
  readonly squares: Float64Array;
}

/** Convolutions of maps that no normalisation reads; those of single pixels, as in squeeze-and-excitation, have too few numbers for one. */
function bareConvolutions(graph: Graph): ReadonlySet<string> {
  const normalised = new Set(graph.nodes.filter(({ op }) => op === "batchNorm").map(({ inputs }) => inputs[0]));
  const shapes = inferShapes(graph);
  const isMap = (name: string) =>
    shapes
      .get(name)!
      .slice(1)
      .some((extent) => extent > 1);
  return new Set(graph.nodes.flatMap(({ op, name }) => (op === "conv" && !normalised.has(name) && isMap(name) ? [name] : [])));
}

/** Sums over images and pixels of the results of convolutions, seen where each is first read. */
function convolutionMoments(
  graph: Graph,
  convolutions: ReadonlySet<string>,
  params: ParameterStore,
  batches: readonly Float32Array[],
): ReadonlyMap<string, Moments> {
  const moments = new Map<string, Moments>();
  const size = graph.input.shape.reduce((product, n) => product * n, 1);
  for (const batch of batches) {
    using _scope = createScope();
    const seen = new Set<string>();
    const onInputs = (node: Node, inputs: Parameters<typeof toArray>[0][]) => {
      for (const [i, name] of node.inputs.entries()) {
        if (!convolutions.has(name) || seen.has(name)) continue;
        seen.add(name);
        const [n, c, h, w] = inputs[i]!.shape as [number, number, number, number];
        const values = toArray(inputs[i]!);
        const own = moments.get(name) ?? { count: 0, sum: new Float64Array(c), squares: new Float64Array(c) };
        moments.set(name, own);
        own.count += n * h * w;
        for (let at = 0; at < values.length; at++) {
          const channel = Math.floor(at / (h * w)) % c;
          own.sum[channel]! += values[at]!;
          own.squares[channel]! += values[at]! ** 2;
        }
      }
    };
    run(graph, params, fromArray([batch.length / size, ...graph.input.shape], batch), {
      tape: null,
      mode: "eval",
      onInputs: (node, inputs) => onInputs(node, [...inputs]),
    });
  }
  return moments;
}

/**
 * The same function with a batch normalisation after every convolution that has none: mean and variance are those of the given images, scale
 * and shift undo them. Exporters fold away what follows a convolution and leave, as in a DenseNet, what does not.
 */
export function unfoldBatchNorm({ graph, weights }: Model, params: ParameterStore, batches: readonly Float32Array[]): Model {
  const convolutions = bareConvolutions(graph);
  if (convolutions.size === 0) return { graph, weights };
  const moments = convolutionMoments(graph, convolutions, params, batches);
  const renamed = new Map<string, string>();
  const unfolded = new Map<string, Weight>(weights);
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const own = { ...node, inputs: node.inputs.map((name) => renamed.get(name) ?? name) } as Node;
    const moment = moments.get(node.name);
    if (node.op !== "conv" || !moment) return [own];
    const name = `${node.name}.bn`;
    const mean = Float32Array.from(moment.sum, (sum) => sum / moment.count);
    const variance = Float32Array.from(moment.squares, (squares, c) => Math.max(0, squares / moment.count - mean[c]! ** 2));
    const vectors = { mean, variance, scale: variance.map((v) => Math.sqrt(v + EPSILON)), shift: mean };
    const role = (key: keyof typeof vectors) => {
      unfolded.set(`${name}.${key}`, { shape: [mean.length], data: vectors[key].slice() });
      return `${name}.${key}`;
    };
    const norm: Node = {
      name,
      op: "batchNorm",
      inputs: [node.name],
      params: { scale: role("scale"), shift: role("shift"), mean: role("mean"), variance: role("variance") },
      attrs: { epsilon: EPSILON, momentum: 0.1 },
    };
    renamed.set(node.name, name);
    return [own, norm];
  });
  return { graph: { ...graph, nodes, output: renamed.get(graph.output) ?? graph.output }, weights: unfolded };
}
