/** @file Fine-grained pruning: single weights become zero, so many per layer that the model reaches a density. */
import type { Model, Weight } from "../graph/types.ts";
import type { EpisodeStep } from "../rl/ddpg.ts";
import type { Environment } from "../rl/policy-search.ts";
import type { Prunable } from "./environment.ts";
import { layerFeatures } from "./features.ts";
import { actionsWithin } from "./scaled.ts";

/** A weight tensor that is pruned: of a convolution or linear layer. */
export interface SparseLayer {
  readonly name: string;
  readonly weight: string;
  readonly size: number;
}

export interface SparseEnvironmentOptions {
  readonly prunable: Prunable;
  readonly layers: readonly SparseLayer[];
  /** Share of all weights that stay, 0…1. */
  readonly density: number;
  /** Largest share that a layer may lose, 0…1. */
  readonly mostRemoved: number;
}

/** Every layer's weight tensor, in execution order; one that several layers share counts once. */
export function sparseLayers({ layers }: Prunable, { weights }: Model): SparseLayer[] {
  const seen = new Set<string>();
  return layers.flatMap(({ node }) => {
    const weight = node.params.weight!;
    if (seen.has(weight)) return [];
    seen.add(weight);
    return [{ name: node.name, weight, size: weights.get(weight)!.data.length }];
  });
}

/**
 * The share that layer k loses: at least what later layers could not make up for if each lost the most.
 * W_duty = α·ΣW − a_max·Σ_{i>k} W_i − W_reduced; a = max(min(a, a_max), W_duty / W_k).
 *
 * @param target α, share of all weights to remove
 * Paper: He et al. 2018 (AMC), algorithm 1.
 */
export function boundedSparsity(
  action: number,
  k: number,
  sizes: readonly number[],
  reduced: number,
  target: number,
  most: number,
): number {
  const total = sizes.reduce((sum, n) => sum + n, 0);
  const rest = sizes.slice(k + 1).reduce((sum, n) => sum + n, 0);
  const duty = target * total - most * rest - reduced;
  return Math.min(1, Math.max(Math.min(action, most), duty / sizes[k]!));
}

/**
 * Decides the sparsity of every layer; `kept` are weights that stay. An action is the share that a layer keeps; as with channels, the
 * published bound decides the states, and all actions are scaled to the density together.
 */
export function createSparseEnvironment({ prunable, layers, density, mostRemoved }: SparseEnvironmentOptions): Environment {
  const sizes = layers.map(({ size }) => size);
  const total = sizes.reduce((sum, n) => sum + n, 0);
  const shapes = layers.map(({ name }) => prunable.layers.find(({ node }) => node.name === name)!);
  const sizeOf = new Map(shapes.map((shape, i) => [shape, sizes[i]!]));
  const rounding = { step: 1, lowest: 1 - mostRemoved, isStrict: true };
  const fixed = layerFeatures(shapes, (shape) => sizeOf.get(shape)!);
  return {
    stateSize: 11,
    play: (choose) => {
      const kept: number[] = [];
      const steps: EpisodeStep[] = [];
      let [reduced, previous] = [0, 1];
      for (const [k, size] of sizes.entries()) {
        const rest = sizes.slice(k + 1).reduce((sum, n) => sum + n, 0) / total;
        const state = [...fixed[k]!, reduced / total, rest, previous];
        const action = choose(state);
        const sparsity = boundedSparsity(1 - action, k, sizes, reduced, 1 - density, mostRemoved);
        const removed = Math.min(size - 1, Math.ceil(sparsity * size - 1e-9));
        kept.push(size - removed);
        reduced += removed;
        previous = kept[k]! / size;
        steps.push({ state, action, taken: previous });
      }
      const scaled = actionsWithin(
        steps.map(({ action }) => action),
        { sizes, cost: (policy) => Array.from(policy).reduce((sum, n) => sum + n, 0), budget: density * total, rounding },
      );
      if (!scaled) return { decisions: kept, steps };
      return { decisions: scaled, steps: steps.map((step, k) => ({ ...step, taken: scaled[k]! / sizes[k]! })) };
    },
  };
}

/** 1 where one of the `kept` weights of largest magnitude stands; equal magnitudes go in order. */
export function magnitudeMask({ data }: Weight, kept: number): Uint8Array {
  const magnitudes = data.map(Math.abs);
  // numbers alone are sorted ten times faster than positions by their numbers
  const least = kept > 0 ? magnitudes.slice().sort()[data.length - kept]! : Number.POSITIVE_INFINITY;
  let ties = kept - magnitudes.reduce((count, m) => (m > least ? count + 1 : count), 0);
  return Uint8Array.from(magnitudes, (m) => (m > least || (m === least && ties-- > 0) ? 1 : 0));
}

/** Keeps the same share of every layer: what the policy is compared with. */
export const uniformSparsity = (layers: readonly SparseLayer[], density: number): number[] =>
  layers.map(({ size }) => Math.max(1, Math.floor(density * size)));
