/** @file Data and networks small enough to train within a test. */
import { createImageSet } from "../src/data/image-set.ts";
import type { DataSplits, ImageSet } from "../src/data/types.ts";
import { createBuilder } from "../src/graph/builder.ts";
import type { Graph } from "../src/graph/types.ts";
import { createRng } from "../src/util/rng.ts";

/** Images of 2 classes, a bright left or right half under noise. */
function halves(count: number, size: number, seed: number): ImageSet {
  const labels = Int32Array.from({ length: count }, (_, i) => i % 2);
  const set = createImageSet([3, size, size], ["left", "right"], labels);
  const rng = createRng(seed);
  for (let i = 0; i < set.images.length; i++) {
    const isRight = i % size >= size / 2;
    const label = labels[Math.floor(i / (3 * size * size))];
    set.images[i] = Math.min(255, Math.max(0, 110 + (isRight === (label === 1) ? 40 : 0) + 40 * rng.normal()));
  }
  return set;
}

export function easyData({ count = 128, size = 16 } = {}): DataSplits {
  return {
    name: "halves",
    train: halves(count, size, 1),
    validation: halves(64, size, 2),
    test: halves(100, size, 3),
    normalisation: { mean: [0.45, 0.45, 0.45], std: [0.2, 0.2, 0.2] },
  };
}

export function tinyNetwork(size = 16): Graph {
  const b = createBuilder({ name: "tiny", input: [3, size, size] });
  const x = b.convBn(b.input, { name: "a", outChannels: 8, kernel: 3, stride: 2, activation: "relu" });
  const y = b.convBn(x, { name: "b", outChannels: 16, kernel: 3, stride: 2, activation: "relu6" });
  return b.build(
    b.linear(b.flatten(b.averagePool(y, { name: "pool", kernel: 2, stride: 2 }), "flat"), { name: "classifier", outFeatures: 2 }),
  );
}
