/**
 * @file Sub-nets straight from a supernet beside the same sub-nets trained alone: the largest, the smallest, and random ones.
 *
 *   node scripts/evidence/supernet.ts SUPERNET_DIR [--random 20] [--epochs N, by default as many as the supernet had] [--seed 0]
 *
 * Prints a row for each as it is done. Both get statistics over the same images; sub-nets that were trained before are not trained again.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { calibrationBatches } from "../../src/data/calibration.ts";
import { loadData } from "../../src/data/load.ts";
import { inspectGraph } from "../../src/graph/counts.ts";
import { paramSpecs } from "../../src/graph/params.ts";
import { subnetAccuracy } from "../../src/joint/extract.ts";
import { sampleSubnet } from "../../src/joint/stages.ts";
import { loadSupernet } from "../../src/joint/train-supernet.ts";
import { createParameters } from "../../src/nn/parameters.ts";
import { recalibrate } from "../../src/nn/recalibrate.ts";
import { readJointDescription, SUPERNET } from "../../src/run/joint-folder.ts";
import { openStore } from "../../src/run/store.ts";
import { largestSubnet, smallestSubnet, summariseSubnet } from "../../src/space/subnet.ts";
import { subnetGraph } from "../../src/space/subnet-graph.ts";
import { readCheckpoint } from "../../src/train/checkpoint.ts";
import { evaluate } from "../../src/train/evaluate.ts";
import { defaultRecipe, trainByRecipe } from "../../src/train/recipe.ts";
import { createRng } from "../../src/util/rng.ts";
import { mean } from "../../src/util/statistics.ts";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    random: { type: "string", default: "20" },
    epochs: { type: "string" },
    seed: { type: "string", default: "0" },
  },
});
const [dir] = positionals;
if (!dir) throw new Error("supernet: the folder of a trained supernet must be given");
const { space, data: source, normalisation } = readJointDescription(dir);
const { name, splitSeed, validation, size, limit } = source;
const loaded = await loadData(name, {
  seed: splitSeed,
  validationRatio: validation,
  ...(size ? { size } : {}),
  ...(limit ? { limit } : {}),
});
const data = { ...loaded, normalisation };
using shared = loadSupernet(space, join(dir, SUPERNET));
const images = calibrationBatches(data, { seed: Number(values.seed), count: 8, batchSize: 250 });
const rng = createRng(Number(values.seed)).fork("alone");
const subnets = [
  ["largest", largestSubnet(space)],
  ["smallest", smallestSubnet(space)],
  ...Array.from({ length: Number(values.random) }, (_, i) => [`random ${i + 1}`, sampleSubnet(space, "width", rng)] as const),
] as const;
using store = openStore(dir);
const TASK = "sub-nets trained alone, with statistics of their own";
const known = new Map(store.trials<{ key: string; alone: number }>(TASK).map(({ key, alone }) => [key, alone]));
const { epochs: ofSupernet } = JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as { epochs: number };
const epochs = Number(values.epochs ?? ofSupernet);
const recipe = { ...defaultRecipe, epochs, weightDecay: 4e-5, seed: Number(values.seed) };

async function trainedAlone(choices: string, graph: ReturnType<typeof subnetGraph>): Promise<number> {
  const key = `${choices}, ${JSON.stringify(recipe)}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  using params = createParameters(paramSpecs(graph), createRng(recipe.seed).fork("weights"));
  // what a killed script had come to is that of the sub-net whose name it has
  const checkpointPath = join(dir!, "alone.safetensors");
  const isBegun = existsSync(checkpointPath) && readCheckpoint(checkpointPath).metadata.key === key;
  await trainByRecipe({ graph, params, data, recipe, checkpointPath, checkpointFacts: { key }, ...(isBegun ? { resume: true } : {}) });
  rmSync(checkpointPath, { force: true });
  recalibrate(graph, params, images);
  const { accuracy } = evaluate(graph, params, data.test, { normalisation });
  store.addTrial(TASK, { key, alone: accuracy });
  return accuracy;
}

const percent = (ratio: number) => (100 * ratio).toFixed(2);
const rows: { readonly shared: number; readonly alone: number }[] = [];
console.log("| sub-net | choices | MACs, M | from the supernet | trained alone | difference |\n|---|---|---|---|---|---|");
for (const [title, subnet] of subnets) {
  const graph = subnetGraph(space, subnet);
  const inSupernet = subnetAccuracy(space, shared, subnet, { data, images, set: "test" });
  const alone = await trainedAlone(summariseSubnet(space, subnet), graph);
  rows.push({ shared: inSupernet, alone });
  const macs = (inspectGraph(graph).macs / 1e6).toFixed(2);
  const choices = summariseSubnet(space, subnet).replaceAll("|", "\\|");
  console.log(`| ${title} | ${choices} | ${macs} | ${percent(inSupernet)}% | ${percent(alone)}% | ${percent(inSupernet - alone)} |`);
}
const differences = rows.map(({ shared: fromSupernet, alone }) => fromSupernet - alone);
console.log(
  `\nmean difference ${percent(mean(differences))} points (${percent(Math.min(...differences))} to ${percent(Math.max(...differences))}) over ${rows.length} sub-nets, trained alone for ${epochs} epochs, the supernet for ${ofSupernet}`,
);
