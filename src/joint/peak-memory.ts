/** @file The most activation memory that a genome's network needs, block by block. */
import { activationBytes, aliveValues, peakActivationBytes } from "../graph/counts.ts";
import { inferShapes } from "../graph/shapes.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics } from "../space/genome.ts";
import { elasticBlocks, smallestSubnet } from "../space/subnet.ts";
import { blockGraph, subnetGraph } from "../space/subnet-graph.ts";
import { type GenomeCost, isFixedLayer } from "./costs.ts";

/** The layers that no gene touches. */
function fixedPeak(space: ElasticSpace): number {
  const graph = subnetGraph(space, smallestSubnet(space));
  const shapes = inferShapes(graph);
  const moments = aliveValues(graph, shapes).filter((_, i) => isFixedLayer(graph.nodes[i]!.name));
  return moments
    .map((names) => names.reduce((sum, name) => sum + activationBytes(shapes.get(name)!), 0))
    .reduce((most, bytes) => Math.max(most, bytes), activationBytes(graph.input.shape));
}

/** Bytes, float32, one image: see `peakActivationBytes`. A block is asked for once, when a genome first has it at these channels. */
export function peakMemory(space: ElasticSpace): GenomeCost {
  const { blockStart, isActive } = createGenetics(space);
  const blocks = elasticBlocks(space);
  const fixed = fixedPeak(space);
  const peaks = blocks.map(({ middles }) => new Float64Array(middles.length).fill(Number.NaN));
  return (genome) => {
    let most = fixed;
    for (let i = 0; i < blocks.length; i++) {
      if (!isActive(genome, i)) continue;
      const middle = genome[blockStart(i) + 1]!;
      if (Number.isNaN(peaks[i]![middle]!))
        peaks[i]![middle] = peakActivationBytes(blockGraph(space, blocks[i]!, space.kernels[0]!, blocks[i]!.middles[middle]!));
      most = Math.max(most, peaks[i]![middle]!);
    }
    return most;
  };
}
