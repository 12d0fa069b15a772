import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inspectGraph } from "../graph/counts.ts";
import { createBitFusion } from "../hardware/bitfusion.ts";
import type { Device } from "../hardware/device.ts";
import { acceleratorEnergy, acceleratorLatency, bitOps, quantizableLayers } from "../quantize/layers.ts";
import { apqImagenet, elasticMobileNet } from "../space/elastic.ts";
import { createGenetics } from "../space/genome.ts";
import { elasticBlocks, largestSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { createRng } from "../util/rng.ts";
import { acceleratorCost, counted, fixedLayers, sumOfLayers } from "./costs.ts";
import { floatLatency } from "./float-latency.ts";
import { peakMemory } from "./peak-memory.ts";
import { layerBits } from "./precision.ts";

const space = elasticMobileNet({ input: [3, 32, 32], classes: 10 });
const genetics = createGenetics(space);
const genomes = fc.integer({ min: 0, max: 2 ** 31 - 1 }).map((seed) => genetics.sample(createRng(seed)));
const device = createBitFusion();

describe("the cost of a genome is that of its network", () => {
  test("in MACs, peak memory, BitOps, latency and energy at its bits", () => {
    const costs = {
      macs: sumOfLayers(space, counted.macs),
      bitops: sumOfLayers(space, counted.bitops),
      latency: sumOfLayers(space, acceleratorCost(device, "latencyMs")),
      energy: sumOfLayers(space, acceleratorCost(device, "energyMj")),
      peakMemory: peakMemory(space),
    };
    fc.assert(
      fc.property(genomes, (genome) => {
        const choice = genetics.decode(genome);
        const graph = subnetGraph(space, choice.subnet);
        const layers = quantizableLayers(graph);
        const bits = layerBits(space, choice, layers);
        const close = (a: number, b: number) => expect(Math.abs(a - b)).toBeLessThan(1e-9 * b);
        expect(costs.macs(genome)).toBe(inspectGraph(graph).macs);
        expect(costs.peakMemory(genome)).toBe(inspectGraph(graph).peakActivationBytes);
        close(costs.bitops(genome), bitOps(layers)(bits));
        close(costs.latency(genome), acceleratorLatency(layers, device)(bits));
        close(costs.energy(genome), acceleratorEnergy(layers, device)(bits));
      }),
      { numRuns: 12 },
    );
  });

  test("in milliseconds of a device that adds up operators", async () => {
    const additive: Device = {
      name: "made up",
      kind: "table",
      overheadMs: 0.5,
      latencyMs: async (graph) =>
        graph.nodes.reduce((sum, { op, name }) => sum + (op === "conv" ? 0.1 : 0.01) + (name.includes("depthwise") ? 0.05 : 0), 0) +
        inspectGraph(graph).macs * 1e-6,
    };
    const latency = await floatLatency(space, additive);
    const rng = createRng(0);
    for (let i = 0; i < 10; i++) {
      const genome = genetics.sample(rng);
      const graph = subnetGraph(space, genetics.decode(genome).subnet);
      expect(latency(genome)).toBeCloseTo((await additive.latencyMs(graph)) + 0.5, 9);
    }
  });
});

test("network totals of the published space agree with the published table", () => {
  const published = createGenetics(apqImagenet);
  const latency = sumOfLayers(apqImagenet, acceleratorCost(device, "latencyMs"));
  const uniform = (kernel: number, isWide: boolean, depth: number, bits: number) => {
    const blocks = elasticBlocks(apqImagenet);
    const precision = { weightBits: bits, activationBits: bits };
    return published.encode({
      subnet: {
        depths: largestSubnet(apqImagenet).depths.map((blocksOfStage) => Math.min(depth, blocksOfStage)),
        kernels: blocks.map(() => kernel),
        middles: blocks.map(({ middles }) => (isWide ? middles.at(-1)! : middles[0]!)),
      },
      bits: blocks.map(() => ({ pointwise: precision, depthwise: precision })),
    });
  };
  // the table's own stem and tail; ours are simulated, and head and classifier are part of them
  const outside = fixedLayers(apqImagenet).reduce(
    (sum, { geometry }) => sum + device.layerCost(geometry, { weightBits: 8, activationBits: 8 }).latencyMs,
    0,
  );
  const inBlocks = (genome: Uint8Array) => latency(genome) - outside;
  const ends = 0.295904 + 0.081608;
  for (const [genome, total] of [
    [uniform(7, true, 4, 8), 46.79],
    [uniform(3, true, 4, 8), 12.86],
    [uniform(3, false, 2, 8), 4.67],
    [uniform(3, true, 4, 4), 7.38],
    [uniform(3, false, 2, 4), 2.96],
  ] as const)
    expect(Math.abs(inBlocks(genome) + ends - total) / total).toBeLessThan(0.03);
});
