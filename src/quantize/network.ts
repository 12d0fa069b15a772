/** @file A network with a policy of bits in the engine: fake-quantised activations, weights on few values. */
import { paramSpecs } from "../graph/params.ts";
import type { QuantizedWeights } from "../graph/quantized-weight.ts";
import type { Graph, Model, Weight } from "../graph/types.ts";
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { createParameters, importWeights, type ParameterStore } from "../nn/parameters.ts";
import { valuesOf } from "../tensor/tensor.ts";
import type { Projection } from "../train/shadow.ts";
import { createRng, type Rng } from "../util/rng.ts";
import type { ActivationSamples } from "./calibrate.ts";
import type { QuantizableLayer } from "./layers.ts";
import { type PrecisionPolicy, type QuantizeGraphOptions, quantizeActivations } from "./precision-policy.ts";
import type { CalibrationMethod } from "./thresholds.ts";
import { type WeightQuantizer, type WeightScheme, weightQuantizer } from "./weights.ts";

export interface QuantizationOptions extends QuantizeGraphOptions {
  readonly model: Model;
  readonly layers: readonly QuantizableLayer[];
  readonly samples: ActivationSamples;
  readonly scheme: WeightScheme;
  readonly calibration: CalibrationMethod;
  readonly rng: Rng;
}

export interface QuantizedNetwork extends Disposable {
  readonly graph: Graph;
  readonly params: ParameterStore;
  /** By weight name; training updates the float weights behind those that keep them. */
  readonly quantizers: ReadonlyMap<string, WeightQuantizer & Projection>;
  /** The weights as they are now, as codes. */
  encoded(): QuantizedWeights;
}

export interface Quantization {
  readonly layers: readonly QuantizableLayer[];
  /** The model at these bits, one entry a layer, before any training. */
  create(bits: readonly Precision[]): QuantizedNetwork;
}

export const policyOf = (layers: readonly QuantizableLayer[], bits: readonly Precision[]): PrecisionPolicy =>
  new Map(layers.map(({ name }, i) => [name, bits[i]!]));

/** Prepares a model for any policy: what a layer's weights become at so many bits is worked out once. */
export function createQuantization({
  model,
  layers,
  samples,
  scheme,
  calibration,
  rng,
  areResultsQuantized,
}: QuantizationOptions): Quantization {
  const known = new Map<string, WeightQuantizer>();
  const quantizerOf = (name: string, bits: number): WeightQuantizer => {
    const key = `${name} ${bits}`;
    let quantizer = known.get(key);
    if (!quantizer) {
      quantizer = weightQuantizer(model.weights.get(name)!, bits, scheme, calibration, rng.fork(key));
      known.set(key, quantizer);
    }
    return quantizer;
  };
  return {
    layers,
    create: (bits) => {
      const policy = policyOf(layers, bits);
      const graph = quantizeActivations(model.graph, policy, { areResultsQuantized });
      const params = createParameters(paramSpecs(graph), createRng(0));
      importWeights(params, new Map<string, Weight>([...model.weights, ...samples.ranges(policy, { areResultsQuantized }, calibration)]));
      const quantizers = new Map(
        layers.flatMap(({ weight }, i) => {
          const { weightBits } = bits[i]!;
          if (weightBits === FLOAT_BITS) return [];
          const [quantizer, initial] = [quantizerOf(weight, weightBits), model.weights.get(weight)!.data];
          return [[weight, quantizer.keepsShadow ? { ...quantizer, initial } : quantizer] as const];
        }),
      );
      for (const [name, { project }] of quantizers) project(model.weights.get(name)!.data, valuesOf(params.get(name)));
      return {
        graph,
        params,
        quantizers,
        encoded: () => new Map([...quantizers].map(([name, quantizer]) => [name, quantizer.encode(valuesOf(params.get(name)))])),
        [Symbol.dispose]: () => params[Symbol.dispose](),
      };
    },
  };
}
