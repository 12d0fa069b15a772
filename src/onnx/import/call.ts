/** @file One node of the file with its inputs, constants and attributes at hand, for its rule. */
import type { Node, Weight } from "../../graph/types.ts";
import { type Call, emitter, type GraphState, materialise, require, Unsupported, type Value } from "./context.ts";
import type { OnnxGraph, OnnxNode } from "./decode.ts";
import type { FoldingBudget } from "./fold.ts";
import type { Constant } from "./tensors.ts";

/** What is known while a file is read, node by node. */
export interface ImportState extends GraphState {
  readonly file: OnnxGraph;
  readonly constants: Map<string, Constant>;
  readonly folding: FoldingBudget;
  /** null: computed by a node that could not be expressed, of unknown shape. */
  readonly values: Map<string, Value | null>;
  readonly weights: Map<string, Weight>;
  /** How many nodes and outputs of the file read each of its values. */
  readonly readers: ReadonlyMap<string, number>;
}

/** Operators that move integers as they do numbers, or turn them back. */
const READS_CODES: ReadonlySet<string> = new Set(["DequantizeLinear", "Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"]);

const asFloats = (constant: Constant): Float32Array =>
  constant.data instanceof Float32Array ? constant.data : Float32Array.from(constant.data as ArrayLike<number>, Number);

/** `irName` is what the rule's last node will be called. */
export function createCall(state: ImportState, node: OnnxNode, irName: string): Call {
  const { constants, values, weights, nodes, file } = state;
  const nameOf = (input: number) => node.input[input] ?? "";
  const attribute = (name: string) => node.attribute.find((a) => a.name === name);
  const maybeConstant = (input: number) => constants.get(nameOf(input)) ?? null;
  const constant = (input: number): Constant => {
    const found = maybeConstant(input);
    require(found, `input ${input} ("${nameOf(input)}") that is not constant`);
    return found;
  };
  const addWeight = (name: string, weight: Weight): string => {
    weights.set(name, weight);
    return name;
  };
  return {
    node,
    opset: file.opset,
    batch: file.inputs[0]?.dims?.[0] ?? null,
    weights,
    has: (input) => nameOf(input) !== "",
    value: (input) => {
      const name = nameOf(input);
      require(!constants.has(name), `a constant as input ${input}`);
      const value = values.get(name);
      if (value === undefined) throw new Unsupported(`no input ${input}`);
      require(value, `input "${name}" of unknown shape`);
      require(!value.codes || READS_CODES.has(node.opType), `input "${name}" of integers`);
      return value;
    },
    maybeConstant,
    constant,
    ints: (name, fallback) => (attribute(name)?.ints ?? fallback).map(Number),
    // A zero is left out of the file: an attribute without a number is 0.
    int: (name, fallback) => Number(attribute(name) ? (attribute(name)?.i ?? 0) : fallback),
    float: (name, fallback) => (attribute(name) ? (attribute(name)?.f ?? 0) : fallback),
    text: (name, fallback) => {
      const bytes = attribute(name)?.s;
      return bytes ? Buffer.from(bytes).toString("utf8") : fallback;
    },
    listed: (name, input) => {
      const ints = attribute(name)?.ints;
      if (ints) return ints.map(Number);
      return nameOf(input) === "" ? null : [...constant(input).data].map(Number);
    },
    emit: emitter(state, irName),
    plain: (value) => materialise(state, value),
    viewed: (value, view) => ({ ...value, view, viewName: irName }),
    weight: (input, shape) => {
      const found = constant(input);
      require(found.data.length === shape.reduce((product, n) => product * n, 1), `a weight [${found.dims}] where [${shape}] is needed`);
      return addWeight(nameOf(input), { shape, data: asFloats(found) });
    },
    newWeight: (suffix, weight) => addWeight(`${irName}.${suffix}`, weight),
    soleProducer: (input) => {
      const base = values.get(nameOf(input))?.base;
      // the same numbers under several names, as an Identity or a Transpose gives them, must be read once under each
      const isReadOnce = [...values].every(([name, value]) => value?.base !== base || state.readers.get(name) === 1);
      return isReadOnce ? (nodes.find(({ name }) => name === base) ?? null) : null;
    },
    replace: (changed: Node) => {
      nodes[nodes.findIndex(({ name }) => name === changed.name)] = changed;
    },
  };
}
