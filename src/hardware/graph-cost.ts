/** @file What a whole network costs on a device, at the bits that its layers have. */
import { AppError } from "../errors.ts";
import type { Graph } from "../graph/types.ts";
import type { Device } from "./device.ts";
import { isAccelerator } from "./kinds.ts";
import { type Accelerator, type LayerCost, layerGeometries, type Precision } from "./precision.ts";

export interface GraphCost {
  readonly device: string;
  readonly kind: Device["kind"];
  /** Images that the latency is of, together. */
  readonly batch: number;
  readonly latencyMs: number;
  /** `null` where nobody published the device's energy. */
  readonly energyMj: number | null;
  /** Every convolution and linear layer, as the accelerator runs it; empty for devices that know no bits. */
  readonly layers: readonly (LayerCost & Precision & { readonly name: string })[];
}

/** What accelerators, which have no float units, run a layer of unknown bits with. */
const DEFAULT: Precision = { weightBits: 8, activationBits: 8 };

/** @param bits by layer; @throws AppError CONFIG for bits that the device does not compute with, or cannot tell the time of */
export async function graphCost(graph: Graph, device: Device | Accelerator, bits: ReadonlyMap<string, Precision>): Promise<GraphCost> {
  const { name, kind, overheadMs } = device;
  if (!isAccelerator(device)) {
    if (graph.nodes.some(({ op }) => op === "quantize"))
      throw new AppError(
        "CONFIG",
        `device: networks on ${name} must compute with floats to be estimated, got a quantised one — time its file with fettle bench`,
      );
    return { device: name, kind, batch: 1, latencyMs: (await device.latencyMs(graph)) + overheadMs, energyMj: null, layers: [] };
  }
  const layers = layerGeometries(graph).map(({ node, geometry }) => {
    const precision = bits.get(node.name) ?? DEFAULT;
    return { name: node.name, ...precision, ...device.layerCost(geometry, precision) };
  });
  const sum = (of: (layer: (typeof layers)[number]) => number | null) =>
    layers.reduce<number | null>((total, layer) => (total === null || of(layer) === null ? null : total + of(layer)!), 0);
  return {
    device: name,
    kind,
    batch: device.batch ?? 1,
    latencyMs: overheadMs + sum((l) => l.latencyMs)!,
    energyMj: sum((l) => l.energyMj),
    layers,
  };
}
