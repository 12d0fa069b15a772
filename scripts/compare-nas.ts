/**
 * @file Evidence for the search: the found network against random networks of its space and a width-scaled MobileNetV2 of the same
 * measured latency, all trained alike; and the network found for as many MACs. Prints a Markdown table.
 *
 *   node scripts/compare-nas.ts --data images:DIR --latency-ms 0.17 --warmup 2 --search 8 --epochs 10 --out runs/compare
 */
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { loadData } from "../src/data/load.ts";
import { inspectGraph } from "../src/graph/counts.ts";
import type { Graph } from "../src/graph/types.ts";
import { openCpu } from "../src/hardware/cpu.ts";
import { measureTogether } from "../src/hardware/measure.ts";
import { untrainedFile } from "../src/hardware/untrained-file.ts";
import { costGraphs } from "../src/nas/cost-tables.ts";
import { mobilenetV2Of, randomNetworksOf } from "../src/run/matching.ts";
import { type BudgetKind, collectCosts, derive, findNetwork, requireFeasible } from "../src/run/nas-run.ts";
import { trainNetwork } from "../src/run/train-run.ts";
import { summarise } from "../src/space/architecture.ts";
import { mobileNetSpace } from "../src/space/description.ts";
import { architectureGraph } from "../src/space/graphs.ts";
import { defaultRecipe } from "../src/train/recipe.ts";
import { writeFileAtomic } from "../src/util/files.ts";
import { createRng } from "../src/util/rng.ts";

const { values: flags } = parseArgs({
  options: {
    data: { type: "string" },
    "latency-ms": { type: "string", default: "0.17" },
    warmup: { type: "string", default: "2" },
    search: { type: "string", default: "8" },
    epochs: { type: "string", default: "10" },
    "architecture-lr": { type: "string", default: "0.02" },
    seed: { type: "string", default: "0" },
    out: { type: "string", default: "runs/compare" },
  },
});
const out = flags.out;
const started = performance.now();
const say = (text: string) => console.log(`[${((performance.now() - started) / 60000).toFixed(1)} min] ${text}`);

/** A step whose result is kept in the run folder, so that the script can be stopped and started again. */
async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  const path = `${out}/${name}.json`;
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as T;
  const result = await work();
  writeFileAtomic(path, JSON.stringify(result));
  return result;
}

const data = await loadData(flags.data!, {});
const space = mobileNetSpace({ input: data.train.shape, classes: data.train.classes.length });
const device = await openCpu({ threads: 1 });
const { fixed, choices } = costGraphs(space);
await device.prepare([...fixed, ...choices.flat().filter((graph) => graph !== null)]);
const costs = { latency: await collectCosts(space, "latency", device), macs: await collectCosts(space, "macs", device) };
say(`table calibrated by ${costs.latency.calibration.toFixed(3)}`);

const searchFor = (kind: BudgetKind, budget: number) =>
  step(`search-${kind}`, async () => {
    const reach = requireFeasible(space, costs[kind], budget);
    say(`${kind}: ${reach.minimum} to ${reach.maximum}, budget ${budget}, ${(100 * reach.share).toFixed(0)}% of random networks within`);
    const found = await findNetwork({
      space,
      data,
      device,
      costs: costs[kind],
      budget,
      mode: "two",
      loss: { name: "constraint" },
      warmupEpochs: Number(flags.warmup),
      searchEpochs: Number(flags.search),
      batchSize: 128,
      lr: 0.1,
      architectureLr: Number(flags["architecture-lr"]),
      weightStepsPerArchitectureStep: 2,
      augmentation: { crop: 4, flip: true },
      seed: Number(flags.seed),
      onEpoch: (e) =>
        say(
          `${kind} ${e.phase} ${e.epoch + 1}/${e.epochs}: accuracy ${e.trainAccuracy.toFixed(3)}, entropy ${e.entropy.toFixed(3)}, E ${e.expectedCost.toPrecision(4)}, ${summarise(space, e.architecture)}, ${e.seconds.toFixed(0)} s`,
        ),
    });
    const probabilities = found.search.probabilities.map((p) => Float64Array.from(p));
    const plain = await derive({ probabilities, candidates: [] }, space, costs[kind], budget, device);
    return { architecture: found.architecture, cost: found.cost, mostProbable: plain.architecture };
  });

const byLatency = await searchFor("latency", Number(flags["latency-ms"]));
const foundGraph = architectureGraph(space, byLatency.architecture);
say(`found for latency: ${summarise(space, byLatency.architecture)}`);
const byMacs = await searchFor("macs", inspectGraph(foundGraph).macs);
say(`found for MACs: ${summarise(space, byMacs.architecture)}`);
const target = untrainedFile(foundGraph);
const random = await step("random", async () =>
  (await randomNetworksOf(space, costs.latency, device, target, 5, createRng(Number(flags.seed)).fork("random networks"))).map(
    ({ network }) => network,
  ),
);
const baseline = await step(
  "baseline",
  async () => (await mobilenetV2Of(data.train.shape, data.train.classes.length, device, target)).network,
);

const networks: { name: string; text: string; net: Graph | string }[] = [
  { name: "found-latency", text: summarise(space, byLatency.architecture), net: foundGraph },
  ...(byLatency.mostProbable.join() === byLatency.architecture.join()
    ? []
    : [
        {
          name: "most-probable",
          text: summarise(space, byLatency.mostProbable),
          net: architectureGraph(space, byLatency.mostProbable),
        },
      ]),
  { name: "mobilenet-v2", text: baseline, net: baseline },
  ...random.map((architecture, i) => ({
    name: `random-${i + 1}`,
    text: summarise(space, architecture),
    net: architectureGraph(space, architecture),
  })),
  { name: "found-macs", text: summarise(space, byMacs.architecture), net: architectureGraph(space, byMacs.architecture) },
];
const rows: { name: string; text: string; accuracy: number; macs: number; params: number }[] = [];
for (const { name, text, net } of networks) {
  const row = await step(`trained-${name}`, async () => {
    const recipe = { ...defaultRecipe, epochs: Number(flags.epochs), lr: 0.1, weightDecay: 2e-4, seed: Number(flags.seed) };
    const { card } = await trainNetwork({ net, data, recipe, dir: `${out}/${name}`, config: { name, recipe } });
    return { name, text, accuracy: card.accuracy.test, macs: card.macs, params: card.params };
  });
  say(`${name}: ${(100 * row.accuracy).toFixed(2)}%  ${text}`);
  rows.push(row);
}
const latencies = await measureTogether(networks.map(({ name }) => `${out}/${name}/model.onnx`));
console.log("\n| network | choices | latency, ms | to found | MACs, M | parameters, K | test accuracy |\n|---|---|---|---|---|---|---|");
for (const [i, row] of rows.entries()) {
  const relative = latencies[i]! / latencies[0]! - 1;
  console.log(
    `| ${row.name} | ${row.text.replaceAll("|", "\\|")} | ${latencies[i]!.toFixed(3)} | ${relative >= 0 ? "+" : ""}${(100 * relative).toFixed(1)}% | ${(row.macs / 1e6).toFixed(2)} | ${(row.params / 1e3).toFixed(0)} | ${(100 * row.accuracy).toFixed(2)}% |`,
  );
}
