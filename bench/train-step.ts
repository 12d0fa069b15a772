/** @file One whole training step on random images: forward, backward, SGD with Nesterov momentum. */
import { buildNetwork } from "../src/graph/networks/index.ts";
import { paramSpecs } from "../src/graph/params.ts";
import { createParameters } from "../src/nn/parameters.ts";
import { createSgd } from "../src/train/optimizers.ts";
import { gradientStep } from "../src/train/step.ts";
import { createRng } from "../src/util/rng.ts";

export const SUBJECTS = [
  { network: "mbconv-bench", batch: 64 },
  { network: "resnet-20-b", batch: 128 },
] as const;

/** A function that runs one step on the same random batch. */
export function createStep(network: string, batch: number): () => void {
  const graph = buildNetwork(network, { input: [3, 32, 32], classes: 10 });
  const rng = createRng(0);
  const params = createParameters(paramSpecs(graph), rng);
  const optimizer = createSgd(params, { weightDecay: 1e-4 });
  const x = new Float32Array(batch * 3 * 32 * 32).map(() => rng.normal());
  const labels = new Int32Array(batch).map(() => rng.int(10));
  const images = { x, labels, indices: new Int32Array(batch), size: batch };
  return () => {
    gradientStep(graph, params, images, { rng });
    optimizer.step(0.01);
  };
}
