/** @file Latency of float sub-nets on a device that knows no bits: sums of measured or tabulated blocks. */
import type { CpuDevice } from "../hardware/cpu.ts";
import type { Device } from "../hardware/device.ts";
import { isCpu } from "../hardware/kinds.ts";
import { measuredOverEstimated } from "../hardware/untrained-file.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome } from "../space/genome.ts";
import { elasticBlocks, smallestSubnet } from "../space/subnet.ts";
import { blockGraph, subnetGraph } from "../space/subnet-graph.ts";
import { createRng } from "../util/rng.ts";
import type { GenomeCost } from "./costs.ts";

/** Whole sub-nets by which the sum of a measured device's blocks is scaled. */
const WHOLE = 6;

/**
 * Asks the device for every block now; afterwards a genome's latency in ms is a sum. Bits count for nothing. On a CPU the sum is scaled by
 * what six whole random sub-nets took, as blocks measured one by one take longer than in a network.
 */
export async function floatLatency(
  space: ElasticSpace,
  device: Device | CpuDevice,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<GenomeCost> {
  const sum = await blockSums(space, device, onProgress);
  if (!isCpu(device)) return sum;
  const genetics = createGenetics(space);
  const rng = createRng(17);
  const sample = Array.from({ length: WHOLE }, () => genetics.sample(rng));
  const graphs = sample.map((genome) => subnetGraph(space, genetics.decode(genome).subnet));
  const factor = await measuredOverEstimated(graphs, sample.map(sum), device.threads);
  return (genome) => factor * sum(genome);
}

async function blockSums(
  space: ElasticSpace,
  device: Device | CpuDevice,
  onProgress: (done: number, total: number) => void,
): Promise<GenomeCost> {
  const { kernels } = space;
  const genetics = createGenetics(space);
  const blocks = elasticBlocks(space);
  const total = blocks.reduce((sum, { middles }) => sum + middles.length * kernels.length, 0);
  // an operator that is measured three times running has all three in one slow moment of the machine
  await device.prepare?.([
    ...blocks.flatMap((block) => kernels.flatMap((kernel) => block.middles.map((middle) => blockGraph(space, block, kernel, middle)))),
    subnetGraph(space, smallestSubnet(space)),
  ]);
  /** By block: kernel, then middle channels. */
  const tables: Float64Array[] = [];
  let done = 0;
  for (const block of blocks) {
    const table: number[] = [];
    for (const kernel of kernels) {
      for (const middle of block.middles) {
        table.push(await device.latencyMs(blockGraph(space, block, kernel, middle)));
        onProgress(++done, total);
      }
    }
    tables.push(Float64Array.from(table));
  }
  const latencyOf = (i: number, kernel: number, middle: number) => tables[i]![kernel * blocks[i]!.middles.length + middle]!;
  const { depths } = smallestSubnet(space);
  const smallestBlocks = blocks.reduce((sum, { stage, place }, i) => sum + (place < depths[stage]! ? latencyOf(i, 0, 0) : 0), 0);
  const rest = (await device.latencyMs(subnetGraph(space, smallestSubnet(space)))) - smallestBlocks + device.overheadMs;
  return (genome: Genome) => {
    let sum = rest;
    for (let i = 0; i < blocks.length; i++) {
      if (!genetics.isActive(genome, i)) continue;
      const at = genetics.blockStart(i);
      sum += latencyOf(i, genome[at]!, genome[at + 1]!);
    }
    return sum;
  };
}
