/** @file What simulated accelerators share: checked bits, remembered layers, sums over graphs. */
import { AppError } from "../errors.ts";
import type { Graph } from "../graph/types.ts";
import {
  type Accelerator,
  type LayerCost,
  type LayerGeometry,
  layerGeometries,
  type Precision,
  type PrecisionChoices,
} from "./precision.ts";

/** What tells one simulated accelerator from another. */
export interface Simulation {
  readonly name: string;
  readonly precisions: PrecisionChoices;
  /** Images that are computed together (default 1). */
  readonly batch?: number;
  /** A pure function; asked once per geometry and bits, and only for bits among `precisions`. */
  readonly simulate: (layer: LayerGeometry, precision: Precision) => LayerCost;
}

/** Bits of the sums over a graph. */
const GRAPH_PRECISION: Precision = { weightBits: 8, activationBits: 8 };

function requirePrecision(name: string, choices: PrecisionChoices, precision: Precision): void {
  for (const field of ["weightBits", "activationBits"] as const) {
    if (!choices[field].includes(precision[field])) {
      throw new AppError("CONFIG", `device ${name}: ${field} must be one of ${choices[field].join(", ")}, got ${precision[field]}`);
    }
  }
  if (choices.isCoupled && precision.weightBits !== precision.activationBits) {
    throw new AppError(
      "CONFIG",
      `device ${name}: weights and activations must have the same bits, got ${precision.weightBits} and ${precision.activationBits}`,
    );
  }
}

function keyOf(layer: LayerGeometry, { weightBits, activationBits }: Precision): string {
  const { inChannels, outChannels, kernel, stride, groups, inputSize, outputSize } = layer;
  return `${[inChannels, outChannels, groups, ...kernel, ...stride, ...inputSize, ...outputSize, weightBits, activationBits]}`;
}

/** An accelerator that simulates every layer once. Layers run one after the other; what is not a layer costs nothing. */
export function createSimulated({ name, precisions, batch = 1, simulate }: Simulation): Accelerator {
  const costs = new Map<string, LayerCost>();
  const layerCost = (layer: LayerGeometry, precision: Precision): LayerCost => {
    const key = keyOf(layer, precision);
    const known = costs.get(key);
    if (known) return known;
    requirePrecision(name, precisions, precision);
    const cost = simulate(layer, precision);
    costs.set(key, cost);
    return cost;
  };
  const costsOf = (graph: Graph) => layerGeometries(graph).map(({ geometry }) => layerCost(geometry, GRAPH_PRECISION));
  return {
    name,
    kind: "simulated",
    overheadMs: 0,
    precisions,
    batch,
    layerCost,
    latencyMs: async (graph) => costsOf(graph).reduce((sum, { latencyMs }) => sum + latencyMs, 0),
    energyMj: async (graph) =>
      costsOf(graph).reduce<number | null>((sum, { energyMj }) => (sum === null || energyMj === null ? null : sum + energyMj), 0),
  };
}
