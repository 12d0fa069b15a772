/** @file A trained model made ready for any policy of bits. */
import type { Model } from "../graph/types.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import { sampleActivations } from "../quantize/calibrate.ts";
import { type QuantizableLayer, quantizableLayers } from "../quantize/layers.ts";
import { createQuantization, type Quantization } from "../quantize/network.ts";
import type { CalibrationMethod } from "../quantize/thresholds.ts";
import type { WeightScheme } from "../quantize/weights.ts";
import { createRng } from "../util/rng.ts";

export interface Preparation {
  /** Equal batches of normalised training images. */
  readonly images: readonly Float32Array[];
  readonly scheme: WeightScheme;
  readonly calibration: CalibrationMethod;
  /** Whether what layers give is rounded too, as on a CPU that computes with integers. */
  readonly areResultsQuantized: boolean;
  readonly seed: number;
}

/** @param params hold the model's weights */
export function prepareQuantization(
  model: Model,
  params: ParameterStore,
  { images, seed, ...how }: Preparation,
): { readonly layers: readonly QuantizableLayer[]; readonly quantization: Quantization } {
  const layers = quantizableLayers(model.graph);
  const rng = createRng(seed);
  const samples = sampleActivations(model.graph, params, images, rng.fork("activations"));
  return { layers, quantization: createQuantization({ ...how, model, layers, samples, rng: rng.fork("weights") }) };
}
