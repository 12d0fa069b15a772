/** @file Candidates per second of the joint search on the published space of 772 numbers a candidate, and what a cost lookup takes. */
import { createBitFusion } from "../src/hardware/bitfusion.ts";
import { acceleratorCost, sumOfLayers } from "../src/joint/costs.ts";
import { cheapestGenome, dearest, type JointLimit } from "../src/joint/limits.ts";
import { openPredictor, trainPredictor } from "../src/joint/predictor.ts";
import { searchJointly } from "../src/joint/search.ts";
import { runtime } from "../src/onednn/runtime.ts";
import { apqImagenet } from "../src/space/elastic.ts";
import { createGenetics } from "../src/space/genome.ts";
import { createRng } from "../src/util/rng.ts";
import { median } from "../src/util/statistics.ts";

const BATCH = 1000;
const REPEATS = 60;
const GENERATIONS = 200;
const LOOKUPS = 200_000;

const timed = (work: () => void): number => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

export async function run(args: readonly string[]): Promise<void> {
  runtime().setThreads(2);
  const genetics = createGenetics(apqImagenet);
  const rng = createRng(0);
  const draw = (count: number) => Array.from({ length: count }, () => genetics.sample(rng));
  const samples = draw(64).map((genome) => ({ genome, accuracy: rng.uniform() }));
  using predictor = openPredictor(apqImagenet, await trainPredictor({ space: apqImagenet, samples, seesBits: true, seed: 0, epochs: 1 }));
  const genomes = draw(BATCH);
  predictor.predict(genomes);
  const scoring = median(Array.from({ length: REPEATS }, () => timed(() => void predictor.predict(genomes))));

  const cost = sumOfLayers(apqImagenet, acceleratorCost(createBitFusion(), "latencyMs"));
  const simulating = timed(() => void cheapestGenome(apqImagenet, cost));
  const limit: JointLimit = { kind: "latency", cost, limit: 0.3 * cost(dearest(apqImagenet)) };
  let scored = 0;
  const start = performance.now();
  const [best] = await searchJointly({
    space: apqImagenet,
    predictor,
    limits: [limit],
    generations: GENERATIONS,
    seed: 0,
    onScored: (all) => {
      scored += all.length;
    },
  });
  const seconds = (performance.now() - start) / 1000;

  const lookups = draw(1000);
  for (const genome of lookups) cost(genome);
  const lookup = timed(() => {
    for (let i = 0; i < LOOKUPS; i++) cost(lookups[i % lookups.length]!);
  });
  const result = {
    space: apqImagenet.name,
    scoredPerSecond: Math.round(BATCH / scoring),
    simulatedSeconds: Number(simulating.toFixed(2)),
    evolution: {
      candidates: scored,
      seconds: Number(seconds.toFixed(2)),
      candidatesPerSecond: Math.round(scored / seconds),
      bestCost: best && cost(best.individual),
    },
    costLookupUs: Number(((1e6 * lookup) / LOOKUPS).toFixed(3)),
  };
  if (args.includes("--json")) console.log(JSON.stringify(result));
  else {
    console.log(`scored      ${result.scoredPerSecond} candidates a second`);
    console.log(`evolution   ${result.evolution.candidatesPerSecond} candidates a second, drawn, within the limit and scored`);
    console.log(`new device  ${result.simulatedSeconds} s to simulate the layers of the space`);
    console.log(`cost lookup ${result.costLookupUs} us for a whole network`);
  }
}
