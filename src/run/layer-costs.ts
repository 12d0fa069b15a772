/** @file layers.json: what every layer of a run's model costs beside the model it was made of. */
import { inspectGraph } from "../graph/counts.ts";
import { isLayer } from "../graph/layers.ts";
import type { Graph } from "../graph/types.ts";
import type { Device } from "../hardware/device.ts";
import { graphCost } from "../hardware/graph-cost.ts";
import type { Precision } from "../hardware/precision.ts";
import type { RunFolder } from "./folder.ts";

export interface CostedGraph {
  readonly graph: Graph;
  /** By layer; left out where the device knows no bits. */
  readonly bits?: ReadonlyMap<string, Precision>;
}

/** What a layer's cost on an accelerator is told in. */
const UNITS = { latency: "ms", energy: "mJ" } as const;
export type LayerCostKind = keyof typeof UNITS;

/** Latency or energy of each layer on a simulated accelerator, MACs anywhere else. */
async function costsOf(
  { graph, bits = new Map() }: CostedGraph,
  device: Device | null,
  by: LayerCostKind,
): Promise<ReadonlyMap<string, number>> {
  if (device?.kind === "simulated") {
    const { layers } = await graphCost(graph, device, bits);
    return new Map(layers.map(({ name, latencyMs, energyMj }) => [name, by === "energy" ? energyMj! : latencyMs]));
  }
  const layers = new Set(graph.nodes.filter(isLayer).map(({ name }) => name));
  return new Map(inspectGraph(graph).layers.flatMap(({ name, macs }) => (layers.has(name) ? [[name, macs] as const] : [])));
}

export async function writeLayerCosts(
  folder: RunFolder,
  device: Device | null,
  before: CostedGraph,
  after: CostedGraph,
  by: LayerCostKind,
): Promise<void> {
  const [was, is] = [await costsOf(before, device, by), await costsOf(after, device, by)];
  const names = [...new Set([...was.keys(), ...is.keys()])];
  folder.writeJson("layers.json", {
    device: device?.kind === "simulated" ? device.name : "any device",
    unit: device?.kind === "simulated" ? UNITS[by] : "MACs",
    layers: names.map((name) => ({ name, before: was.get(name) ?? null, after: is.get(name) ?? null })),
  });
}

/** Latency, unless energy alone is limited. */
export const layerCostKind = (budgets: readonly { readonly kind: string }[]): LayerCostKind =>
  budgets.some(({ kind }) => kind === "energy") && !budgets.some(({ kind }) => kind === "latency") ? "energy" : "latency";
