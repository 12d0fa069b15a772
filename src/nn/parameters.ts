/** @file The parameters of a network (or of a supernet) in the engine's memory. */
import { AppError } from "../errors.ts";
import type { ParamSpec } from "../graph/params.ts";
import type { Weight, Weights } from "../graph/types.ts";
import { createParameter, freeParameter, type Tensor, valuesOf } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";

export type ParamSpecs = ReadonlyMap<string, ParamSpec>;

/** Parameters by name. Trainable ones are leaves with gradients; running statistics are not. */
export interface ParameterStore extends Disposable {
  readonly specs: ParamSpecs;
  /** @throws AppError INTERNAL for a name outside the specs */
  get(name: string): Tensor;
  /** Names of trainable parameters in a fixed order. */
  readonly trainable: readonly string[];
}

/** The bound of ReLU6. */
const INITIAL_RANGE = 6;

/** Initial values: convolutions N(0, 2/fanOut) (He et al. 2015, "fan out"), linear U(±1/√fanIn), scale 1, variance 1, transforms the identity, the rest 0. */
function initialise(spec: ParamSpec, values: Float32Array, rng: Rng): void {
  if (spec.role === "scale" || spec.role === "variance") values.fill(1);
  else if (spec.role === "range") values.fill(INITIAL_RANGE);
  else if (spec.role === "transform") for (let i = 0; i < spec.shape[0]!; i++) values[i * spec.shape[0]! + i] = 1;
  else if (spec.role === "weight" && spec.op === "linear") {
    const bound = 1 / Math.sqrt(spec.fanIn);
    for (let i = 0; i < values.length; i++) values[i] = (2 * rng.uniform() - 1) * bound;
  } else if (spec.role === "weight") {
    const deviation = Math.sqrt(2 / spec.fanOut);
    for (let i = 0; i < values.length; i++) values[i] = rng.normal() * deviation;
  } else values.fill(0);
}

/** Makes and initialises every parameter; each one's stream depends on its name alone, so adding a layer shifts no other. */
export function createParameters(specs: ParamSpecs, rng: Rng): ParameterStore {
  const tensors = new Map<string, Tensor>();
  for (const spec of specs.values()) {
    const tensor = createParameter(spec.shape);
    initialise(spec, valuesOf(tensor), rng.fork(spec.name));
    tensors.set(spec.name, spec.isTrainable ? tensor : { ...tensor, requiresGrad: false });
  }
  return {
    specs,
    trainable: [...specs.values()].filter((spec) => spec.isTrainable).map((spec) => spec.name),
    get: (name) => {
      const tensor = tensors.get(name);
      if (!tensor) throw new AppError("INTERNAL", `internal: no parameter is called "${name}"`);
      return tensor;
    },
    [Symbol.dispose]: () => {
      for (const tensor of tensors.values()) freeParameter(tensor);
    },
  };
}

/** Copies the parameters out of the engine. */
export function exportWeights(store: ParameterStore, names: Iterable<string> = store.specs.keys()): Weights {
  const weights = new Map<string, Weight>();
  for (const name of names) weights.set(name, { shape: store.specs.get(name)!.shape, data: valuesOf(store.get(name)).slice() });
  return weights;
}

/** Copies weights into the engine. @throws AppError SHAPE for a missing weight or another shape */
export function importWeights(store: ParameterStore, weights: Weights, names: Iterable<string> = store.specs.keys()): void {
  for (const name of names) {
    const weight = weights.get(name);
    const spec = store.specs.get(name)!;
    if (!weight || weight.shape.join() !== spec.shape.join()) {
      throw new AppError("SHAPE", `weights: "${name}" must be f32[${spec.shape}], got ${weight ? `f32[${weight.shape}]` : "none"}`);
    }
    valuesOf(store.get(name)).set(weight.data);
  }
}
