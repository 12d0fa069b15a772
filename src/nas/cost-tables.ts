/** @file Cost tables of a space: from a device's latencies, or from counts. */
import { inspectGraph } from "../graph/counts.ts";
import type { Graph } from "../graph/types.ts";
import type { Device } from "../hardware/device.ts";
import type { SpaceDescription } from "../space/description.ts";
import { blockGraph, createSupernet } from "../space/graphs.ts";
import type { CostTable } from "./costs.ts";

/** Every graph whose cost the table needs. */
export function costGraphs(space: SpaceDescription): {
  readonly fixed: readonly Graph[];
  readonly choices: readonly (readonly (Graph | null)[])[];
} {
  const { stem, head, blocks } = createSupernet(space);
  return { fixed: [stem, head], choices: blocks.map((block) => block.choices.map((choice) => blockGraph(space, block, choice))) };
}

/** Latencies of one inference on a device, ms; the call's overhead is part of `fixed`. */
export async function latencyTable(space: SpaceDescription, device: Device): Promise<CostTable> {
  const { fixed, choices } = costGraphs(space);
  let fixedMs = device.overheadMs;
  for (const graph of fixed) fixedMs += await device.latencyMs(graph);
  const perChoice: number[][] = [];
  for (const graphs of choices) {
    const row: number[] = [];
    for (const graph of graphs) row.push(graph ? await device.latencyMs(graph) : 0);
    perChoice.push(row);
  }
  return { fixed: fixedMs, perChoice };
}

/** Multiply-accumulates of one inference. */
export function macsTable(space: SpaceDescription): CostTable {
  const { fixed, choices } = costGraphs(space);
  const macs = (graph: Graph | null) => (graph ? inspectGraph(graph).macs : 0);
  return { fixed: fixed.reduce((sum, graph) => sum + macs(graph), 0), perChoice: choices.map((graphs) => graphs.map(macs)) };
}
