/** @file Everything that a search for an architecture goes on from, as a checkpoint. */
import { exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import type { Checkpoint } from "../train/checkpoint.ts";
import type { Optimizer } from "../train/optimizers.ts";
import type { Rng, RngState } from "../util/rng.ts";
import type { Alphas } from "./alphas.ts";
import type { SearchReport } from "./search-options.ts";

export interface SearchState {
  readonly params: ParameterStore;
  readonly optimizer: Optimizer;
  readonly alphas: Alphas;
  readonly rngs: Readonly<Record<"paths" | "gates", Rng>>;
  /** Validation batches. */
  usedBatches: number;
  /** One for every epoch that is done. */
  readonly reports: SearchReport[];
}

const PREFIX = "optimizer:";

/** What is not a weight, in float64. */
interface Facts {
  readonly values: readonly (readonly number[])[];
  readonly states: readonly { readonly square: readonly number[]; readonly steps: number }[];
  readonly baseline: number | null;
  readonly multiplier: number;
  readonly rngs: Readonly<Record<keyof SearchState["rngs"], RngState>>;
  readonly usedBatches: number;
  readonly reports: readonly SearchReport[];
}

export function searchCheckpoint({ params, optimizer, alphas, rngs, usedBatches, reports }: SearchState): Checkpoint {
  const { values, states, baseline, multiplier } = alphas;
  const facts: Facts = {
    values: values.map((alpha) => [...alpha]),
    states: states.map(({ square, steps }) => ({ square: [...square], steps })),
    baseline,
    multiplier,
    rngs: { paths: rngs.paths.state(), gates: rngs.gates.state() },
    usedBatches,
    reports,
  };
  const remembered = [...optimizer.state()].map(([name, data]) => [`${PREFIX}${name}`, { shape: [data.length], data }] as const);
  return { tensors: new Map([...exportWeights(params), ...remembered]), metadata: { search: JSON.stringify(facts) } };
}

/** Puts `state`, as it was made at the beginning, to where the checkpoint was taken. */
export function restoreSearch(state: SearchState, { tensors, metadata }: Checkpoint): void {
  const facts = JSON.parse(metadata.search!) as Facts;
  importWeights(state.params, tensors);
  const remembered = [...tensors].filter(([name]) => name.startsWith(PREFIX));
  state.optimizer.restore(new Map(remembered.map(([name, { data }]) => [name.slice(PREFIX.length), data])));
  state.alphas.values = facts.values.map((alpha) => Float64Array.from(alpha));
  state.alphas.states = facts.states.map(({ square, steps }) => ({ square: Float64Array.from(square), steps }));
  state.alphas.baseline = facts.baseline;
  state.alphas.multiplier = facts.multiplier;
  for (const name of ["paths", "gates"] as const) state.rngs[name].restore(facts.rngs[name]);
  state.usedBatches = facts.usedBatches;
  state.reports.push(...facts.reports);
}
