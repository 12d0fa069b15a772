import fc from "fast-check";
import { expect, test } from "vitest";
import { buildNetwork } from "../graph/networks/index.ts";
import { paramSpecs } from "../graph/params.ts";
import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { createParameters, exportWeights } from "../nn/parameters.ts";
import { exportOnnx } from "../onnx/export.ts";
import { policyOf } from "../quantize/network.ts";
import type { WeightScheme } from "../quantize/weights.ts";
import { createRng } from "../util/rng.ts";
import { withParameters } from "./compression-steps.ts";
import { fileMetadata } from "./deploy.ts";
import { prepareQuantization } from "./prepare-quantization.ts";
import { quantizedSize } from "./quantized-size.ts";

const graph = buildNetwork("mobilenet-v1:0.25", { input: [3, 16, 16], classes: 10 });
const images = [Float32Array.from({ length: 4 * 3 * 256 }, (_, i) => Math.sin(i * 1.7))];
const model = (() => {
  using params = createParameters(paramSpecs(graph), createRng(4));
  return { graph, weights: exportWeights(params) };
})();
const data = "images:somewhere";

function sizes(scheme: WeightScheme) {
  const how = { images, scheme, calibration: "max", areResultsQuantized: false, seed: 0 } as const;
  const { layers, quantization } = withParameters(model, (params) => prepareQuantization(model, params, how));
  const estimate = quantizedSize({ layers, quantization, scheme, original: graph, data });
  const actual = (bits: readonly Precision[]): number => {
    using net = quantization.create(bits);
    const metadata = fileMetadata(net.graph, data, policyOf(layers, bits));
    return exportOnnx({ graph: net.graph, weights: exportWeights(net.params) }, { quantized: net.encoded(), metadata }).length;
  };
  return { layers, estimate, actual };
}

test.each([
  ["kmeans", [FLOAT_BITS], 1000],
  ["linear", [4, 8], 2000],
] as const)("the size of a file of %s weights is known before it is written", (scheme, activationBits, within) => {
  const { layers, estimate, actual } = sizes(scheme);
  for (const weightBits of [2, 3, 8]) {
    const alike = layers.map(() => ({ weightBits, activationBits: activationBits.at(-1)! }));
    expect(estimate(alike)).toBe(actual(alike));
  }
  const layer = fc.record({ weightBits: fc.integer({ min: 2, max: 8 }), activationBits: fc.constantFrom(...activationBits) });
  fc.assert(
    fc.property(fc.array(layer, { minLength: layers.length, maxLength: layers.length }), (bits) => {
      expect(Math.abs(estimate(bits) - actual(bits))).toBeLessThan(within);
    }),
    { numRuns: 12 },
  );
});
