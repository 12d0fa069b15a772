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
import { header, percent, row, stepsIn } from "./steps.ts";

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
    limit: { type: "string" },
  },
});
if (!flags.data) throw new Error("haq: --data must be given");
const { fettle, folderOf } = stepsIn(flags.out);
const images = ["--data", flags.data, "--validation", "0.06", ...(flags.limit ? ["--limit", flags.limit] : [])];
const NAMES: Readonly<Record<string, string>> = { v1: "mobilenet-v1:0.25", v2: "mobilenet-v2:0.35" };
const networks = flags.networks.split(",");

/** A search within limits; with `baselines` also the best of the same bits everywhere, and bits by sensitivity. 4: a limit is missed. */
function search(name: string, network: string, limits: readonly string[], { baselines = true } = {}): QuantizeResult {
  const policies = [
    "--episodes",
    flags.episodes,
    "--tune-steps",
    flags["tune-steps"],
    "--epochs",
    flags.epochs,
    ...(baselines ? ["--baselines"] : []),
  ];
  return fettle(name, ["quantize", folderOf(network), ...images, ...limits, ...policies], { accepted: [0, 4] });
}

/** Costs of a number of bits everywhere, in the unit and order of the limits. */
function uniformCosts(name: string, network: string, bits: number, limits: readonly string[]): readonly number[] {
  const nothing = ["--episodes", "1", "--warmup", "1", "--tune-steps", "0", "--epochs", "0"];
  const { uniform } = fettle<QuantizeResult>(name, ["quantize", folderOf(network), ...images, "--bits", `${bits}`, ...limits, ...nothing]);
  return uniform[0]!.costs;
}

const meanOf = (bits: BitsResult["bits"], side: keyof BitsResult["bits"][number]) => mean(bits.map((one) => one[side])).toFixed(1);
const RESULTS = ["policy", "weight / activation bits", "cost", "validation", "test", "tuned: validation", "tuned: test"] as const;

function resultRows(lead: readonly string[], { original, policies }: QuantizeResult, cost: (value: number) => string): void {
  row(...lead, "float", "32 / 32", "-", percent(original.validation), percent(original.test), "-", "-");
  for (const { name, bits, costs, validation, test, tuned } of policies) {
    const means = `${meanOf(bits, "weightBits")} / ${meanOf(bits, "activationBits")}`;
    row(...lead, name, means, cost(costs[0]!), ...[validation, test, tuned?.validation, tuned?.test].map(percent));
  }
}

const exact = (value: number) => value.toFixed(9);

/** Tables 4 and 5 of the paper: latency and energy on Bit Fusion at the cost of uniform bits. */
function accelerator(): void {
  header("network", "limit of", ...RESULTS);
  const device = ["--device", "bitfusion"];
  for (const network of networks) {
    for (const bits of [4, 6]) {
      const all = [...device, "--max-latency", "100%", "--max-energy", "100%"];
      const [ms, mj] = uniformCosts(`${network}-${bits}-bits`, network, bits, all);
      const latency = search(`${network}-latency-${bits}`, network, [...device, "--max-latency", `${exact(ms!)}ms`]);
      resultRows([network, `latency of ${bits} bits`], latency, (value) => `${(1000 * value).toFixed(2)} us`);
      const energy = search(`${network}-energy-${bits}`, network, [...device, "--max-energy", `${exact(mj!)}mJ`]);
      resultRows([network, `energy of ${bits} bits`], energy, (value) => `${(1000 * value).toFixed(2)} uJ`);
    }
  }
}

/** Table 6 of the paper: shared values (k-means) within the size of uniform bits. */
function size(): void {
  header("network", "limit of", ...RESULTS);
  for (const network of networks) {
    for (const bits of [2, 3]) {
      const [bytes] = uniformCosts(`${network}-size-of-${bits}-bits`, network, bits, ["--max-size", "100%"]);
      const result = search(`${network}-size-${bits}`, network, ["--bits", "1..8", "--max-size", `${Math.ceil(bytes!)}B`]);
      resultRows([network, `size of ${bits} bits`], result, (value) => `${(value / 1000).toFixed(1)} KB`);
    }
  }
}

/** Table 1 of the paper: what the policy for one device costs on the others. */
function devices(): void {
  const names = ["bitfusion", "bismo-edge", "bismo-cloud"];
  header("network", "policy for", ...names.map((name) => `on ${name}, us an image`), "validation", "test", "tuned: test");
  for (const network of networks) {
    for (const name of names) {
      const run = `${network}-${name}`;
      const { policies } = search(run, network, ["--device", name, "--max-latency", "60%"], { baselines: false });
      const { validation, test, tuned } = policies[0]!;
      const costs = names.map((other) => {
        const { cost } = fettle<{ cost: GraphCost }>(`${run}-on-${other}`, ["inspect", folderOf(run), "--device", other], { isRun: false });
        return ((1000 * cost.latencyMs) / cost.batch).toFixed(2);
      });
      row(network, name, ...costs, percent(validation), percent(test), percent(tuned?.test));
    }
  }
}

/** Integers and floats on this CPU, measured. */
function cpu(): void {
  header("network", "float file, us", "quantized file, us", ...RESULTS);
  for (const network of networks) {
    const result = search(`${network}-cpu`, network, ["--device", "cpu", "--max-latency", "85%"]);
    const { original, quantized } = result.latencyMs;
    const measured = [original, quantized].map((ms) => (1000 * ms).toFixed(0));
    resultRows([network, ...measured], result, (value) => `${(1000 * value).toFixed(0)} us`);
  }
}

const TABLES: Readonly<Record<string, () => void>> = { a: accelerator, b: size, c: devices, d: cpu };
for (const network of networks) fettle(network, ["train", "--net", NAMES[network]!, ...images, "--epochs", flags["train-epochs"]]);
for (const table of flags.tables.split(",")) {
  console.log(`\n(${table})`);
  TABLES[table]!();
}
