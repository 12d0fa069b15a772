/**
 * @file Bits per layer found by HAQ beside the same bits everywhere, on small MobileNets, as in the tables of the paper (Wang et al. 2019).
 *
 *   node scripts/evidence/haq.ts --data images:DIR [--out runs/haq] [--tables a,b,c,d] [--networks v1,v2] [--episodes 100] [--epochs 1]
 *
 * Started again, it goes on where it stopped. Prints Markdown.
 */
import { parseArgs } from "node:util";
import type { GraphCost } from "../../src/hardware/graph-cost.ts";
import type { BitsResult, QuantizeResult } from "../../src/run/quantize-run.ts";
import { mean } from "../../src/util/statistics.ts";
import { attempt, header, percent, row, stepsIn } from "./steps.ts";

const { values: flags } = parseArgs({
  options: {
    data: { type: "string" },
    out: { type: "string", default: "runs/haq" },
    tables: { type: "string", default: "a,b,c,d" },
    networks: { type: "string", default: "v1,v2" },
    episodes: { type: "string", default: "100" },
    "tune-steps": { type: "string", default: "10" },
    epochs: { type: "string", default: "1" },
    "train-epochs": { type: "string", default: "24" },
    lr: { type: "string", default: "0.02" },
    "cpu-limits": { type: "string", default: "85%,95%" },
    limit: { type: "string" },
  },
});
if (!flags.data) throw new Error("haq: --data must be given");
const { fettle, folderOf, reasonOf } = stepsIn(flags.out);
const images = ["--data", flags.data, "--validation", "0.1", ...(flags.limit ? ["--limit", flags.limit] : [])];
const NAMES: Readonly<Record<string, string>> = { v1: "mobilenet-v1:0.25", v2: "mobilenet-v2:0.35" };
const networks = flags.networks.split(",");

const tuning = ["--tune-steps", flags["tune-steps"], "--epochs", flags.epochs, "--lr", flags.lr];
const untrained = ["--tune-steps", "0", "--epochs", "0"];

/** A search within limits; with `baselines` also the best of the same bits everywhere, and bits by sensitivity. 4: a limit is missed, 3: it cannot be met. */
function search<R extends QuantizeResult | null = QuantizeResult>(
  name: string,
  network: string,
  limits: readonly string[],
  { baselines = true, accepted = [0, 4] }: { readonly baselines?: boolean; readonly accepted?: readonly number[] } = {},
): R {
  const policies = ["--episodes", flags.episodes, ...tuning, ...(baselines ? ["--baselines"] : [])];
  return fettle<R>(name, ["quantize", folderOf(network), ...images, ...limits, ...policies], { accepted });
}

/** The same number of bits everywhere, trained as what is found is unless told otherwise. */
function everywhere(name: string, network: string, bits: number, limits: readonly string[], how = tuning): QuantizeResult {
  const one = ["--bits", `${bits}`, ...limits, "--episodes", "1", "--warmup", "1", ...how];
  return fettle(name, ["quantize", folderOf(network), ...images, ...one]);
}

const meanOf = (bits: BitsResult["bits"], side: keyof BitsResult["bits"][number]) => mean(bits.map((one) => one[side])).toFixed(1);
const RESULTS = ["policy", "weight / activation bits", "cost", "validation", "test", "tuned: validation", "tuned: test"] as const;

function policyRow(lead: readonly string[], title: string, policy: BitsResult, cost: (value: number) => string): void {
  const { bits, costs, validation, test, tuned } = policy;
  const means = `${meanOf(bits, "weightBits")} / ${meanOf(bits, "activationBits")}`;
  row(...lead, title, means, cost(costs[0]!), ...[validation, test, tuned?.validation, tuned?.test].map(percent));
}

/** Bits of a layer that is not the first nor the last, which may be pinned. */
const named = ({ name, bits: [, inner] }: BitsResult): string =>
  name === "uniform" ? `best uniform (${inner!.weightBits} / ${inner!.activationBits})` : name;

function resultRows(lead: readonly string[], { original, policies }: QuantizeResult, cost: (value: number) => string): void {
  row(...lead, "float", "32 / 32", "-", percent(original.validation), percent(original.test), "-", "-");
  for (const policy of policies) policyRow(lead, named(policy), policy, cost);
}

/** What the table's rows leave out: which policy's file was kept, and what that file is as measured. */
const notes: string[] = [];
function noteFile(title: string, { card, chosen, constraints, original, isQuantizedKept }: QuantizeResult): void {
  const limits = constraints.map(
    ({ name, value, limit, unit, obtained, isMet }) =>
      `${name} ${value.toPrecision(6)} of ${limit.toPrecision(6)} ${unit} (${obtained}, ${isMet ? "met" : "MISSED"})`,
  );
  const kept = isQuantizedKept ? `file of ${chosen}` : "float file kept";
  const { test, engine = test } = card.accuracy;
  notes.push(
    `- ${title}: ${kept}, test accuracy ${percent(test)} in ONNX Runtime (${percent(engine)} in the engine), ${card.fileBytes} bytes of ${original.fileBytes}; ${limits.join(", ")}`,
  );
}
function printNotes(): void {
  console.log(`\n${notes.splice(0).join("\n")}`);
}

/** As a limit that what costs so much is within, however it is rounded. */
const admitting = (value: number) => (value * (1 + 1e-9)).toFixed(12);

/** Tables 4 and 5 of the paper: latency and energy on Bit Fusion at the cost of uniform bits. */
function accelerator(): void {
  header("network", "limit of", ...RESULTS);
  const device = ["--device", "bitfusion"];
  const limited = [
    { kind: "latency", unit: "ms", shown: "us" },
    { kind: "energy", unit: "mJ", shown: "uJ" },
  ] as const;
  for (const network of networks) {
    for (const bits of [4, 6]) {
      attempt(`${network} at ${bits} bits`, () => {
        const alike = everywhere(`${network}-${bits}-bits`, network, bits, [...device, "--max-latency", "100%", "--max-energy", "100%"]);
        for (const [i, { kind, unit, shown }] of limited.entries()) {
          const limit = alike.policies[0]!.costs[i]!;
          const cost = (value: number) => `${(1000 * value).toFixed(2)} ${shown}`;
          const lead = [network, `${kind} of ${bits} bits`];
          const result = search(`${network}-${kind}-${bits}`, network, [...device, `--max-${kind}`, `${admitting(limit)}${unit}`]);
          resultRows(lead, result, cost);
          policyRow(lead, `${bits} bits everywhere`, { ...alike.policies[0]!, costs: [limit] }, cost);
          noteFile(lead.join(", "), result);
        }
      });
    }
  }
  printNotes();
}

/** Table 6 of the paper: shared values (k-means) within the size of uniform bits. */
function size(): void {
  header("network", "limit of", ...RESULTS);
  const cost = (value: number) => `${(value / 1000).toFixed(2)} KB`;
  for (const network of networks) {
    for (const bits of [2, 3]) {
      attempt(`${network} at the size of ${bits} bits`, () => {
        const { fileBytes } = everywhere(`${network}-size-of-${bits}-bits`, network, bits, ["--max-size", "100%"], untrained).card;
        const lead = [network, `${bits} bits: ${cost(fileBytes)}`];
        const result = search(`${network}-size-${bits}`, network, ["--bits", "1..8", "--max-size", `${fileBytes}B`]);
        resultRows(lead, result, cost);
        noteFile(lead.join(", "), result);
      });
    }
  }
  printNotes();
}

/** Table 1 of the paper: what the policy for one device, within what 4 bits everywhere take on it, costs on the others. */
function devices(): void {
  const names = ["bitfusion", "bismo-edge", "bismo-cloud"];
  header("network", "policy for", ...names.map((name) => `on ${name}, us an image`), "validation", "test", "tuned: test");
  for (const network of networks) {
    for (const name of names) {
      attempt(`${network} on ${name}`, () => {
        const run = `${network}-${name}`;
        const device = ["--device", name];
        const alike = everywhere(`${run}-4-bits`, network, 4, [...device, "--max-latency", "100%"], untrained).policies[0]!.costs[0]!;
        const { policies } = search(run, network, [...device, "--max-latency", `${admitting(alike)}ms`], { baselines: false });
        const { validation, test, tuned } = policies[0]!;
        const costs = names.map((other) => {
          const { cost } = fettle<{ cost: GraphCost }>(`${run}-on-${other}`, ["inspect", folderOf(run), "--device", other], {
            isRun: false,
          });
          return ((1000 * cost.latencyMs) / cost.batch).toFixed(2);
        });
        row(network, name, ...costs, percent(validation), percent(test), percent(tuned?.test));
      });
    }
  }
}

/** Integers and floats on this CPU, measured, within the first of the limits that can be met. */
function cpu(): void {
  header("network", ...RESULTS);
  const us = (ms: number) => `${(1000 * ms).toFixed(0)} us`;
  for (const network of networks) {
    attempt(`${network} on this CPU`, () => {
      for (const share of flags["cpu-limits"].split(",")) {
        const name = `${network}-cpu-${Number.parseFloat(share)}`;
        const limit = ["--device", "cpu", "--max-latency", share];
        const result = search<QuantizeResult | null>(name, network, limit, { accepted: [0, 3, 4] });
        if (!result) {
          notes.push(`- ${network} within ${share}: ${reasonOf(name)}`);
          continue;
        }
        resultRows([network], result, (value) => `${us(value)} estimated`);
        noteFile(network, result);
        notes.push(
          `- ${network}, in turns: the quantised file ${us(result.latencyMs.quantized)}, the float file ${us(result.latencyMs.original)}`,
        );
        break;
      }
    });
  }
  printNotes();
}

const TABLES: Readonly<Record<string, () => void>> = { a: accelerator, b: size, c: devices, d: cpu };
for (const network of networks) fettle(network, ["train", "--net", NAMES[network]!, ...images, "--epochs", flags["train-epochs"]]);
for (const table of flags.tables.split(",")) {
  console.log(`\n(${table})`);
  TABLES[table]!();
}
