/** @file Actor and critic as graphs of the engine. Source: the published code of AMC and HAQ. */
import { createBuilder } from "../graph/builder.ts";
import { paramSpecs } from "../graph/params.ts";
import type { Graph } from "../graph/types.ts";
import { createParameters, type ParameterStore } from "../nn/parameters.ts";
import { valuesOf } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";

export interface Network extends Disposable {
  readonly graph: Graph;
  readonly params: ParameterStore;
}

function perceptron(name: string, inputs: number, hidden: number, isBounded: boolean): Graph {
  const b = createBuilder({ name, input: [inputs] });
  const first = b.activation(b.linear(b.input, { name: "first", outFeatures: hidden }), "relu", "first.act");
  const second = b.activation(b.linear(first, { name: "second", outFeatures: hidden }), "relu", "second.act");
  const last = b.linear(second, { name: "last", outFeatures: 1 });
  return b.build(isBounded ? b.activation(last, "sigmoid", "action") : last);
}

/** Weights and biases uniform in ±1/√fanIn, as PyTorch draws them. */
function createNetwork(graph: Graph, rng: Rng): Network {
  const params = createParameters(paramSpecs(graph), rng);
  for (const [name, spec] of params.specs) {
    if (spec.role !== "bias") continue;
    const bound = 1 / Math.sqrt(params.specs.get(name.replace(/bias$/, "weight"))!.fanIn);
    const values = valuesOf(params.get(name));
    for (let i = 0; i < values.length; i++) values[i] = (2 * rng.uniform() - 1) * bound;
  }
  return { graph, params, [Symbol.dispose]: () => params[Symbol.dispose]() };
}

/** state [S] → action in (0, 1). */
export const createActor = (stateSize: number, hidden: number, rng: Rng): Network =>
  createNetwork(perceptron("actor", stateSize, hidden, true), rng);

/**
 * [state, action] → expected return. The first layer is the sum of one layer for the state and one for the action, which have
 * fan-ins of their own.
 */
export function createCritic(stateSize: number, hidden: number, rng: Rng): Network {
  const network = createNetwork(perceptron("critic", stateSize + 1, hidden, false), rng);
  const weight = valuesOf(network.params.get("first.weight"));
  const bias = valuesOf(network.params.get("first.bias"));
  const bound = 1 / Math.sqrt(stateSize);
  for (let h = 0; h < hidden; h++) {
    for (let i = 0; i <= stateSize; i++) weight[h * (stateSize + 1) + i] = (2 * rng.uniform() - 1) * (i < stateSize ? bound : 1);
    bias[h] = (2 * rng.uniform() - 1) * bound + (2 * rng.uniform() - 1);
  }
  return network;
}

/** target ← (1 − tau) · target + tau · source; tau 1 copies. */
export function moveTowards(target: Network, source: Network, tau: number): void {
  for (const name of target.params.specs.keys()) {
    const [to, from] = [valuesOf(target.params.get(name)), valuesOf(source.params.get(name))];
    for (let i = 0; i < to.length; i++) to[i] = (1 - tau) * to[i]! + tau * from[i]!;
  }
}
