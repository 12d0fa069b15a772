/**
 * @file AMC beside rules of thumb, as in the paper's tables (He et al. 2018): half the MACs, least cost at full accuracy, measured latency.
 *
 *   node scripts/evidence/amc.ts --data images:DIR [--out runs/amc] [--tables plain-20,resnet-20,guaranteed,latency,file] [--file model.onnx]
 *
 * `--file` is what pytorch-mobilenet-se.py wrote. Started again, it goes on where it stopped. Prints Markdown.
 */
import { parseArgs } from "node:util";
import type { PolicyResult, PruneResult } from "../../src/run/prune-run.ts";
import { header, percent, row, stepsIn } from "./steps.ts";

const { values: flags } = parseArgs({
  options: {
    data: { type: "string" },
    out: { type: "string", default: "runs/amc" },
    tables: { type: "string", default: "plain-20,resnet-20,guaranteed,latency" },
    file: { type: "string" },
    seeds: { type: "string", default: "0,1,2" },
    episodes: { type: "string", default: "200" },
    epochs: { type: "string", default: "8" },
    "train-epochs": { type: "string", default: "18" },
    limit: { type: "string" },
  },
});
if (!flags.data) throw new Error("amc: --data must be given");
const { fettle, folderOf } = stepsIn(flags.out);
const images = ["--data", flags.data, "--validation", "0.1", ...(flags.limit ? ["--limit", flags.limit] : [])];
const episodes = ["--episodes", flags.episodes, "--warmup", `${Math.ceil(0.15 * Number(flags.episodes))}`];

const trained = (network: string): string => {
  fettle(network, ["train", "--net", network, ...images, "--epochs", flags["train-epochs"]]);
  return folderOf(network);
};
/** 4: a limit is missed. */
const prune = (name: string, model: string, how: readonly string[]): PruneResult =>
  fettle(name, ["prune", model, ...images, ...episodes, "--split-seed", "0", "--epochs", flags.epochs, ...how], { accepted: [0, 4] });

const COLUMNS = ["policy", "MACs, M", "validation", "test", "tuned: validation", "tuned: test"] as const;
const policyRow = (title: string, { macs, validation, test, tuned }: Omit<PolicyResult, "name" | "kept" | "costs" | "params">) =>
  row(title, (macs / 1e6).toFixed(2), ...[validation, test, tuned?.validation, tuned?.test].map(percent));

/** AMC with every seed, and the rules once: their images for least squares differ with the seed, no more. */
function halfTheMacs(network: string): void {
  const runs = flags.seeds.split(",").map((seed, i) => {
    const how = ["--max-macs", "50%", "--channel-step", "1", "--seed", seed, ...(i === 0 ? ["--baselines"] : [])];
    return { seed, ...prune(`${network}-${seed}`, trained(network), how) };
  });
  header(...COLUMNS);
  policyRow("original", { ...runs[0]!.original, tuned: null });
  for (const { seed, policies } of runs) policyRow(`AMC, seed ${seed}`, policies[0]!);
  for (const policy of runs[0]!.policies.slice(1)) policyRow(policy.name, policy);
}

/** All policies of one run, and what the files take on this CPU. */
function oneRun({ original, policies, constraints, latencyMs, card }: PruneResult): void {
  header(...COLUMNS);
  policyRow("original", { ...original, tuned: null });
  for (const policy of policies) policyRow(policy.name, policy);
  const us = (ms: number) => `${(1000 * ms).toFixed(0)} us`;
  console.log(
    `\nfile: ${us(latencyMs.pruned)} where the original takes ${us(latencyMs.original)}, test accuracy ${percent(card.accuracy.test)}`,
  );
  for (const { name, unit, limit, value, obtained, isMet } of constraints)
    console.log(`limit ${name} ${limit} ${unit}: ${value} (${obtained}), ${isMet ? "met" : "MISSED"}`);
}

const TABLES: Readonly<Record<string, () => void>> = {
  "plain-20": () => halfTheMacs("plain-20"),
  "resnet-20": () => halfTheMacs("resnet-20"),
  guaranteed: () => oneRun(prune("guaranteed", trained("plain-20"), ["--reward", "flops", "--channel-step", "1"])),
  latency: () => oneRun(prune("latency", trained("plain-20"), ["--max-latency", "60%"])),
  file: () => {
    if (!flags.file) throw new Error("amc: --file must be given for this table");
    const normalised = ["--mean", "0.4914,0.4822,0.4465", "--std", "0.247,0.2435,0.2616"];
    oneRun(prune("file", flags.file, [...normalised, "--max-latency", "50%"]));
  },
};
for (const table of flags.tables.split(",")) {
  console.log(`\n(${table})`);
  TABLES[table]!();
}
