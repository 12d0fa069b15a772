/** @file A device and images of one's own, and a model trained on them: node_modules/.bin/node examples/own-device.ts (Node 24) */
import { type Device, dataFromImages, defaultRecipe, inspectGraph, optimize, trainNetwork } from "fettle";
import { dataContract, deviceContract } from "fettle/contracts";

/** A board that does 100 million multiply-accumulates a second and takes 20 us to start a layer. */
const board: Device = {
  name: "board",
  kind: "table",
  overheadMs: 0.1,
  latencyMs: async (graph) => inspectGraph(graph).layers.reduce((ms, { macs }) => ms + (macs > 0 ? 0.02 + macs / 1e5 : 0), 0),
};

/** Squares of one colour with noise, from anywhere: a camera, a database, a generator. */
const COUNT = 200;
const SIZE = 16 * 16;
const labels = Int32Array.from({ length: COUNT }, (_, i) => i % 2);
const images = new Uint8Array(COUNT * 3 * SIZE);
let noise = 1;
for (let i = 0; i < images.length; i++) {
  const [image, channel] = [Math.floor(i / (3 * SIZE)), Math.floor(i / SIZE) % 3];
  const isStrong = channel === (labels[image] === 0 ? 2 : 0);
  noise = (noise * 48271) % 2147483647;
  images[i] = (isStrong ? 200 : 40) + (noise % 31);
}
const data = await dataFromImages({ name: "squares", shape: [3, 16, 16], classes: ["blue", "red"], train: { images, labels } });

for (const { name, check } of [...deviceContract(() => board), ...dataContract(() => data)]) {
  await check();
  console.log(`ok: ${name}`);
}

const recipe = { ...defaultRecipe, batchSize: 16, epochs: 2, lr: 0.05 };
await trainNetwork({ net: "mobilenet-v1:0.1", data, recipe, dir: "runs/squares", config: {} });

const run = optimize(
  { model: "runs/squares", data, device: board, maxLatency: "60%", batch: 16, episodes: 20, epochs: 1, out: "runs/board" },
  { overwrite: true },
);
const { card, constraints } = await run.result;
const [latency] = constraints;
console.log(
  `${latency!.value.toFixed(2)} of ${latency!.limit.toFixed(2)} ms on the board, test accuracy ${(100 * card.accuracy.test).toFixed(2)}%`,
);
