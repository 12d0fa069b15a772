/** @file Clipping ranges of activations, from what layers read of sample images. */
import type { Graph, Node, Weights } from "../graph/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { toArray } from "../tensor/layout.ts";
import { codeBounds } from "../tensor/ops/quantize.ts";
import { createScope, fromArray, type Tensor } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";
import { type PrecisionPolicy, type QuantizeGraphOptions, quantizedValues, rangeName } from "./precision-policy.ts";
import { type CalibrationMethod, threshold } from "./thresholds.ts";

/** Numbers kept of every value. */
const SAMPLES = 20_000;

export interface ActivationSamples {
  /** Ranges of the values that a policy quantises, by parameter name. */
  ranges(policy: PrecisionPolicy, options: QuantizeGraphOptions, method: CalibrationMethod): Weights;
}

/**
 * Runs the float network on batches of normalised images and keeps a random part of what its layers read; ranges for any policy and
 * number of bits follow from it.
 */
export function sampleActivations(graph: Graph, params: ParameterStore, batches: readonly Float32Array[], rng: Rng): ActivationSamples {
  const samples = new Map<string, Float32Array[]>();
  const bounds = new Map(graph.nodes.flatMap((node) => (node.op === "clip" ? [[node.name, node.attrs] as const] : [])));
  const size = graph.input.shape.reduce((product, n) => product * n, 1);
  const perBatch = Math.ceil(SAMPLES / batches.length);
  for (const batch of batches) {
    using _scope = createScope();
    const seen = new Set<string>();
    const onInputs = (node: Node, inputs: readonly Tensor[]) => {
      if (node.op === "batchNorm" || node.op === "relu" || node.op === "clip") return;
      for (const [i, name] of node.inputs.entries()) {
        if (seen.has(name)) continue;
        seen.add(name);
        const values = toArray(inputs[i]!);
        // a clip that its convolution applies has not been applied yet
        const clip = bounds.get(name);
        const take = (v: number) => (clip ? Math.min(clip.max, Math.max(clip.min, v)) : v);
        const drawn = Float32Array.from({ length: Math.min(perBatch, values.length) }, () => take(values[rng.int(values.length)]!));
        samples.set(name, [...(samples.get(name) ?? []), drawn]);
      }
    };
    run(graph, params, fromArray([batch.length / size, ...graph.input.shape], batch), { tape: null, mode: "eval", onInputs });
  }
  const joined = new Map([...samples].map(([name, parts]) => [name, Float32Array.from(parts.flatMap((part) => [...part]))]));
  const known = new Map<string, Float32Array>();
  return {
    ranges: (policy, options, method) =>
      new Map(
        quantizedValues(graph, policy, options).map((one) => {
          const name = rangeName(one);
          const key = `${name} ${method}`;
          const range = known.get(key) ?? Float32Array.of(threshold(joined.get(one.value)!, { levels: codeBounds(one).max, method }) || 1);
          known.set(key, range);
          return [name, { shape: [1], data: range.slice() }] as const;
        }),
      ),
  };
}
