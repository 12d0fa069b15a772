/** @file What an AMC episode costs beside the plain forward pass over the same validation images, Plain-20 on 5,000 of 3×32×32. */
import { createImageSet } from "../src/data/image-set.ts";
import type { DataSplits } from "../src/data/types.ts";
import { buildNetwork } from "../src/graph/networks/index.ts";
import { paramSpecs } from "../src/graph/params.ts";
import { createParameters, exportWeights } from "../src/nn/parameters.ts";
import { runtime } from "../src/onednn/runtime.ts";
import { analyse, createEnvironment, groupSizes, macsCost } from "../src/prune/environment.ts";
import { createPruner } from "../src/prune/pruner.ts";
import { createDdpg } from "../src/rl/ddpg.ts";
import { evaluate } from "../src/train/evaluate.ts";
import { createRng } from "../src/util/rng.ts";
import { median } from "../src/util/statistics.ts";

const IMAGES = 5000;
const CALIBRATION = 250;
const EPISODES = 12;
const WARMUP = 4;

/** Median seconds of an episode (decisions, weights, statistics, evaluation, the agent's updates) and of the forward pass alone. */
export async function run(args: readonly string[]): Promise<void> {
  runtime().setThreads(2);
  const graph = buildNetwork("plain-20", { input: [3, 32, 32], classes: 10 });
  const rng = createRng(0);
  using params = createParameters(paramSpecs(graph), rng);
  const classes = Array.from({ length: 10 }, (_, i) => `${i}`);
  const labels = new Int32Array(IMAGES).map(() => rng.int(10));
  const set = createImageSet([3, 32, 32], classes, labels);
  for (let i = 0; i < set.images.length; i++) set.images[i] = rng.int(256);
  const normalisation: DataSplits["normalisation"] = { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] };
  const images = Array.from({ length: 8 }, () => new Float32Array(CALIBRATION * 3072).map(() => rng.normal()));
  const prunable = analyse(graph);
  const cost = macsCost(prunable);
  const rounding = { step: 1, lowest: 0.2, isStrict: true };
  const environment = createEnvironment({ prunable, cost, budget: 0.5 * cost(groupSizes(prunable)), rounding });
  const pruner = createPruner({ model: { graph, weights: exportWeights(params) }, prunable, params, images, rng });
  using agent = createDdpg({ stateSize: environment.stateSize, rng: rng.fork("agent"), warmup: WARMUP });
  const forward = () => evaluate(graph, params, set, { normalisation });
  const seconds = (work: () => void): number => {
    const start = performance.now();
    work();
    return (performance.now() - start) / 1000;
  };
  forward();
  const plain: number[] = [];
  const episodes: number[] = [];
  for (let episode = 0; episode < EPISODES; episode++) {
    plain.push(seconds(forward));
    episodes.push(
      seconds(() => {
        const { decisions: kept, steps } = environment.play((state) => agent.explore(state, episode));
        pruner.apply(kept);
        agent.finish(steps, forward().accuracy, episode);
      }),
    );
  }
  const result = {
    network: "plain-20",
    images: IMAGES,
    forwardSeconds: Number(median(plain).toFixed(3)),
    episodeSeconds: Number(median(episodes.slice(WARMUP)).toFixed(3)),
    ratio: Number((median(episodes.slice(WARMUP)) / median(plain)).toFixed(3)),
  };
  if (args.includes("--json")) console.log(JSON.stringify(result));
  else
    console.log(`an episode takes ${result.episodeSeconds} s, the forward pass ${result.forwardSeconds} s: ${result.ratio} times as long`);
}
