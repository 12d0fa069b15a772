/**
 * @file Evidence for the simulated accelerators: their costs against the tables and latencies that were published. Prints Markdown.
 *
 *   node scripts/evidence/simulators.ts DATA_DIR
 *
 * DATA_DIR holds apq-bitfusion-lut-half.json: { entries: { "(Cin, Cout, size, k, stride, pad, groups)-W8A8": { latency, energy } } }, in
 * ms and mJ, and haq-bismo-cloud-mobilenetv2-b16.json: { data: cycles[layer][weight bits − 1][activation bits − 1] }.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildNetwork } from "../../src/graph/networks/index.ts";
import { createBismo } from "../../src/hardware/bismo.ts";
import { createBitFusion } from "../../src/hardware/bitfusion.ts";
import { type Accelerator, type LayerGeometry, layerGeometries } from "../../src/hardware/precision.ts";
import { createRng } from "../../src/util/rng.ts";

const [dataDir] = process.argv.slice(2);
if (!dataDir) {
  console.error("usage: node scripts/evidence/simulators.ts DATA_DIR");
  process.exit(2);
}
const readData = (name: string) => JSON.parse(readFileSync(join(dataDir, name), "utf8"));
const layersOf = (name: string) =>
  layerGeometries(buildNetwork(name, { input: [3, 224, 224], classes: 1000 })).map(({ geometry }) => geometry);
const networks = { "mobilenet-v1": layersOf("mobilenet-v1"), "mobilenet-v2": layersOf("mobilenet-v2") };
const percent = (value: number) => `${(100 * value).toFixed(2)}%`;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** One row: what was compared, and relative errors of the simulated costs. */
function report(name: string, pairs: readonly (readonly [simulated: number, published: number])[]): void {
  const errors = pairs.map(([simulated, published]) => Math.abs(simulated / published - 1)).sort((a, b) => a - b);
  const within = errors.filter((error) => error <= 0.01).length / errors.length;
  const equal = errors.filter((error) => error < 1e-9).length;
  const total = sum(pairs.map(([simulated]) => simulated)) / sum(pairs.map(([, published]) => published)) - 1;
  const [mean, median, max] = [sum(errors) / errors.length, errors[Math.floor(errors.length / 2)]!, errors.at(-1)!].map(percent);
  console.log(`| ${name} | ${pairs.length} | ${equal} | ${percent(within)} | ${mean} | ${median} | ${max} | ${percent(total)} |`);
}
const header = "| entries | compared | equal | within 1% | mean error | median | max | sum of all |\n|---|---|---|---|---|---|---|---|";

console.log(`### BitFusion against APQ's table\n\n${header}`);
const bitFusion = createBitFusion();
const entries = Object.entries(readData("apq-bitfusion-lut-half.json").entries as Record<string, { latency: number; energy: number }>)
  .map(([key, published]) => ({ numbers: (key.match(/\d+/g) ?? []).map(Number), published }))
  .filter(({ numbers }) => numbers.length === 9)
  .map(({ numbers, published }) => {
    const [inChannels, outChannels, size, kernel, stride, pad, groups, weightBits, activationBits] = numbers as [number, ...number[]];
    const made = Math.floor((size! + 2 * pad! - kernel!) / stride!) + 1;
    const pair = (value: number | undefined) => [value!, value!] as const;
    const layer = { inChannels, outChannels: outChannels!, groups: groups!, kernel: pair(kernel), stride: pair(stride) };
    const geometry: LayerGeometry = { ...layer, inputSize: pair(size), outputSize: pair(made) };
    const simulated = bitFusion.layerCost(geometry, { weightBits: weightBits!, activationBits: activationBits! });
    return { isDepthwise: groups! > 1, hasSix: weightBits === 6 || activationBits === 6, simulated, published };
  });
for (const [name, chosen] of [
  ["all", entries],
  ["pointwise", entries.filter(({ isDepthwise }) => !isDepthwise)],
  ["depthwise", entries.filter(({ isDepthwise }) => isDepthwise)],
  ["with a 6-bit operand", entries.filter(({ hasSix }) => hasSix)],
] as const) {
  report(
    `latency, ${name}`,
    chosen.map(({ simulated, published }) => [simulated.latencyMs, published.latency]),
  );
  report(
    `energy, ${name}`,
    chosen.map(({ simulated, published }) => [simulated.energyMj!, published.energy]),
  );
}

console.log(`\n### BISMO in the cloud against HAQ's table of MobileNetV2\n\n${header}`);
const cloud = createBismo("cloud");
const table = readData("haq-bismo-cloud-mobilenetv2-b16.json").data as number[][][];
const cells = networks["mobilenet-v2"].flatMap((layer, l) =>
  table[l]!.flatMap((row, w) =>
    row.map((cycles, a) => {
      const simulated = cloud.layerCost(layer, { weightBits: w + 1, activationBits: a + 1 }).latencyMs * 210_000;
      return { isUniform: w === a, pair: [simulated, cycles] as const };
    }),
  ),
);
report(
  "cycles, all",
  cells.map(({ pair }) => pair),
);
report(
  "cycles, as many bits for weights as for activations",
  cells.filter(({ isUniform }) => isUniform).map(({ pair }) => pair),
);

function totalOf(device: Accelerator, layers: readonly LayerGeometry[], bits: number, firstBits: number) {
  const costs = layers.map((layer, i) => {
    const width = i === 0 ? firstBits : bits;
    return device.layerCost(layer, { weightBits: width, activationBits: width });
  });
  return { latencyMs: sum(costs.map(({ latencyMs }) => latencyMs)), energyMj: sum(costs.map(({ energyMj }) => energyMj ?? Number.NaN)) };
}

console.log(
  "\n### Published totals of whole networks\n\n| device | network | bits | published | simulated | error |\n|---|---|---|---|---|---|",
);
const edge = createBismo("edge");
const BITS = [4, 5, 6, 8];
for (const { device, name, network, published, isFirstEight } of [
  { device: cloud, name: "bismo-cloud", network: "mobilenet-v2", published: [74.46, 99.43, 127.07, 189.82], isFirstEight: false },
  { device: cloud, name: "bismo-cloud", network: "mobilenet-v1", published: [57.49, 77.52, 99.86, 151.09], isFirstEight: false },
  {
    device: edge,
    name: "bismo-edge, first layer 8 bits",
    network: "mobilenet-v2",
    published: [52.15, 66.94, 82.49, 115.84],
    isFirstEight: true,
  },
  {
    device: edge,
    name: "bismo-edge, first layer 8 bits",
    network: "mobilenet-v1",
    published: [45.45, 57.75, 70.67, 96.2],
    isFirstEight: true,
  },
] as const) {
  for (const [i, bits] of BITS.entries()) {
    const { latencyMs } = totalOf(device, networks[network], bits, isFirstEight ? 8 : bits);
    console.log(
      `| ${name} | ${network} | ${bits} | ${published[i]} ms | ${latencyMs.toFixed(2)} ms | ${percent(latencyMs / published[i]! - 1)} |`,
    );
  }
}
for (const [network, source, publishedMs, publishedMj] of [
  ["mobilenet-v2", "APQ", 9.1, 12.46],
  ["mobilenet-v1", "HAQ", 20.08, 31.03],
] as const) {
  const { latencyMs, energyMj } = totalOf(bitFusion, networks[network], 8, 8);
  console.log(
    `| bitfusion (${source}) | ${network} | 8 | ${publishedMs} ms | ${latencyMs.toFixed(2)} ms | ${percent(latencyMs / publishedMs - 1)} |`,
  );
  console.log(
    `| bitfusion (${source}) | ${network} | 8 | ${publishedMj} mJ | ${energyMj.toFixed(2)} mJ | ${percent(energyMj / publishedMj - 1)} |`,
  );
}

console.log("\n### Time for MobileNetV2 with every pair of bits, from nothing\n");
for (const [name, create, first] of [
  ["bitfusion", createBitFusion, 2],
  ["bismo-cloud", () => createBismo("cloud"), 1],
  ["bismo-edge", () => createBismo("edge"), 1],
] as const) {
  const device = create();
  const before = process.cpuUsage().user;
  let pairs = 0;
  for (let weightBits = first; weightBits <= 8; weightBits++) {
    for (let activationBits = first; activationBits <= 8; activationBits++, pairs++) {
      for (const layer of networks["mobilenet-v2"]) device.layerCost(layer, { weightBits, activationBits });
    }
  }
  console.log(`${name}: ${((process.cpuUsage().user - before) / 1e6).toFixed(2)} s of processor time for ${pairs} pairs`);
}

console.log("\n### More bits that are faster: 2,500 random layers with random bits, one bit added to weights or to activations\n");
const rng = createRng(0).fork("random layers");
const pick = <T>(values: readonly T[]): T => values[rng.int(values.length)]!;
const layers = Array.from({ length: 2500 }, () => {
  const groups = pick([1, 1, 2, 24]);
  const channels = { inChannels: groups * pick([1, 3, 24, 130, 512]), outChannels: groups * pick([1, 20, 64, 300]), groups };
  const size = [1 + rng.int(20), 1 + rng.int(20)] as const;
  const layer: LayerGeometry = { ...channels, kernel: [1 + rng.int(5), 1 + rng.int(5)], stride: [1, 1], inputSize: size, outputSize: size };
  return { layer, weightBits: 2 + rng.int(6), activationBits: 2 + rng.int(6) };
});
for (const device of [bitFusion, cloud, edge]) {
  const changes = layers.flatMap(({ layer, weightBits, activationBits }) => {
    const { latencyMs } = device.layerCost(layer, { weightBits, activationBits });
    return [
      { weightBits: weightBits + 1, activationBits },
      { weightBits, activationBits: activationBits + 1 },
    ].map((more) => device.layerCost(layer, more).latencyMs / latencyMs - 1);
  });
  const faster = changes.filter((change) => change < 0);
  console.log(`${device.name}: ${faster.length} of ${changes.length}, at most ${percent(Math.max(0, ...faster.map((change) => -change)))}`);
}
