/** @file A trained network with channels switched off: weights reconstructed, statistics renewed, without building another graph. */

import { isDepthwise, isLayer, type LayerNode } from "../graph/layers.ts";
import type { Model, Weight } from "../graph/types.ts";
import { importWeights, type ParameterStore } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import { valuesOf } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";
import { collectGrams, isReconstructible } from "./calibration.ts";
import type { Prunable } from "./environment.ts";
import { rankAtoms } from "./importance.ts";
import { type Gram, reconstruct } from "./reconstruct.ts";
import { removeChannels } from "./surgery.ts";

export interface PrunerOptions {
  readonly model: Model;
  readonly prunable: Prunable;
  /** Holds the model's weights; the pruner changes and restores them. */
  readonly params: ParameterStore;
  /** Equal batches of normalised training images: for least squares and for batch statistics. */
  readonly images: readonly Float32Array[];
  readonly rng: Rng;
  /** Batches used for the statistics of each policy (default 2). */
  readonly statisticsBatches?: number;
}

export interface Pruner {
  /** Makes `params` compute the pruned network; only layers whose channels changed are touched. */
  apply(kept: readonly number[]): void;
  /** The model as it was. */
  restore(): void;
  /** The pruned model with reconstructed weights, really smaller; its statistics are still the original's. */
  extract(kept: readonly number[]): Model;
}

/** A layer whose columns depend on the policy. */
interface Target {
  readonly node: LayerNode;
  readonly weight: Weight;
  readonly atoms: Int32Array;
  readonly gram: Gram | null;
  /** Weights by which channels are kept: few policies are rounded to more than a handful. */
  readonly cache: Map<string, Float32Array>;
}

/** Bytes of reconstructed weights. */
const MOST_REMEMBERED = 1 << 29;

export function createPruner({ model, prunable, params, images, rng, statisticsBatches = 2 }: PrunerOptions): Pruner {
  const { graph, coupling, groups } = prunable;
  const grams = collectGrams({ graph, params, images, rng: rng.fork("positions") });
  const ranks = groups.map((group) => rankAtoms(model, coupling, group));
  const removedBy = (kept: readonly number[]) => new Set(ranks.flatMap((rank, g) => [...rank.subarray(kept[g]!)]));
  const prunableAtoms = new Set(groups.flatMap(({ atoms }) => [...atoms]));
  const targets = graph.nodes.filter(isLayer).flatMap((node): Target[] => {
    const atoms = coupling.atomsOf.get(node.inputs[0]!)!;
    if (isDepthwise(node, atoms.length) || !atoms.some((atom) => prunableAtoms.has(atom))) return [];
    const gram = isReconstructible(node, atoms.length) ? (grams.get(node.name) ?? null) : null;
    return [{ node, atoms, gram, weight: model.weights.get(node.params.weight!)!, cache: new Map() }];
  });
  const isDirty = new Set<string>();
  let remembered = 0;
  /** Keeps reconstructed weights; the oldest of the layer make room when there are too many of all layers. */
  const remember = (cache: Map<string, Float32Array>, key: string, data: Float32Array): void => {
    for (const [oldest, { byteLength }] of cache) {
      if (remembered + data.byteLength <= MOST_REMEMBERED) break;
      cache.delete(oldest);
      remembered -= byteLength;
    }
    cache.set(key, data);
    remembered += data.byteLength;
  };

  const weightsOf = ({ atoms, weight, gram, cache }: Target, removed: ReadonlySet<number>): Float32Array => {
    const isKept = Array.from(atoms, (atom) => !removed.has(atom));
    if (isKept.every(Boolean)) return weight.data;
    const key = isKept.map((keep) => (keep ? "1" : "0")).join("");
    let data = cache.get(key);
    if (!data) {
      const cell = weight.shape.slice(2).reduce((product, n) => product * n, 1);
      data = gram ? reconstruct(weight.data, gram, isKept, cell) : zeroed(weight, isKept, cell);
      remember(cache, key, data);
    }
    return data;
  };
  return {
    apply: (kept) => {
      const removed = removedBy(kept);
      for (const target of targets) {
        const name = target.node.params.weight!;
        const data = weightsOf(target, removed);
        if (data === target.weight.data && !isDirty.has(name)) continue;
        valuesOf(params.get(name)).set(data);
        isDirty.add(name);
      }
      recalibrate(graph, params, images.slice(0, statisticsBatches));
    },
    restore: () => {
      importWeights(params, model.weights);
      isDirty.clear();
    },
    extract: (kept) => {
      const removed = removedBy(kept);
      const weights = new Map(model.weights);
      for (const target of targets)
        weights.set(target.node.params.weight!, { shape: target.weight.shape, data: weightsOf(target, removed) });
      return removeChannels({ graph, weights }, removed, coupling);
    },
  };
}

/** The weight with zeros where a channel is not read; for grouped convolutions, whose least squares are not solved. */
function zeroed({ shape, data }: Weight, isKept: readonly boolean[], cell: number): Float32Array {
  const [rows, columns] = shape as [number, number];
  const rowsPerGroup = rows / (isKept.length / columns);
  const result = data.slice();
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      if (!isKept[Math.floor(r / rowsPerGroup) * columns + c]) result.fill(0, (r * columns + c) * cell, (r * columns + c + 1) * cell);
    }
  }
  return result;
}
