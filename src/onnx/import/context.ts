/** @file What the rules of the import read and write: values, constants, attributes, the graph that grows. */
import { shapeOf } from "../../graph/shapes.ts";
import type { Node, OpAttrs, OpType, ParamRole, SampleShape, Weight } from "../../graph/types.ts";
import type { OnnxNode } from "./decode.ts";
import type { Constant } from "./tensors.ts";
import { isInOrder, plainView, shuffleGroups, type View, viewShape } from "./view.ts";

/** A value of the file: a value of our graph and how it is read. Shapes are of one sample. */
export interface Value {
  readonly base: string;
  readonly baseShape: SampleShape;
  readonly view: View;
  /** What the operator that the view takes will be called. */
  readonly viewName?: string;
  /** The file has it as integers, which DequantizeLinear turns into numbers again. */
  readonly codes?: Codes;
}

/** How QuantizeLinear made integers: steps from `zero`. */
export interface Codes {
  readonly step: number;
  readonly zero: number;
  readonly isSigned: boolean;
}
export const plainValue = (base: string, baseShape: SampleShape): Value => ({ base, baseShape, view: plainView(baseShape) });
export const shapeOfValue = (value: Value): number[] => viewShape(value.view);

/** A node that cannot be expressed; the message says why. */
export class Unsupported extends Error {}
export function require(condition: unknown, reason: string): asserts condition {
  if (!condition) throw new Unsupported(reason);
}

export type Emit = <K extends OpType>(
  op: K,
  inputs: readonly string[],
  attrs: OpAttrs[K],
  options?: { readonly params?: Partial<Record<ParamRole, string>>; readonly suffix?: string },
) => Value;

/** One node of the file, as its rule sees it. */
export interface Call {
  readonly node: OnnxNode;
  readonly opset: number;
  /** Images at once, where the file states how many. */
  readonly batch: number | null;
  has(input: number): boolean;
  /** @throws Unsupported when the input is a constant or left out */
  value(input: number): Value;
  /** The numbers of an input, null when it is computed from the image. */
  maybeConstant(input: number): Constant | null;
  /** @throws Unsupported when the input is computed from the image */
  constant(input: number): Constant;
  ints(name: string, fallback: readonly number[]): number[];
  int(name: string, fallback: number): number;
  float(name: string, fallback: number): number;
  text(name: string, fallback: string): string;
  /** Integers from an attribute in older opsets, from an input in newer ones. */
  listed(attribute: string, input: number): number[] | null;
  emit: Emit;
  /** A value in plain order. @throws Unsupported */
  plain(value: Value): { readonly name: string; readonly shape: SampleShape };
  /** The value with another view, which is this node's work. */
  viewed(value: Value, view: View): Value;
  /** Names the constant input as a parameter of the given shape. */
  weight(input: number, shape: readonly number[]): string;
  /** Adds numbers that are not in the file as they are. */
  newWeight(suffix: string, weight: Weight): string;
  /** The node that made the input, if nothing else reads it. */
  soleProducer(input: number): Node | null;
  /** Puts another node in the place of one made before. */
  replace(node: Node): void;
  weights: Map<string, Weight>;
}

/** The operator that makes a value as its view reads it. @throws Unsupported */
function viewOp(value: Value): { readonly op: OpType; readonly attrs: OpAttrs[OpType] } {
  const shape = shapeOfValue(value);
  if (isInOrder(value.view)) {
    require(shape.length === 1 || shape.length === 3 || shape.length === 4, `a shape of ${shape.length + 1} axes`);
    return shape.length === 1 ? { op: "flatten", attrs: {} } : { op: "reshape", attrs: { shape } };
  }
  const groups = shuffleGroups(value.view);
  require(groups !== null && shape.join() === value.baseShape.join(), "an input that is transposed in a way that Fettle cannot follow");
  return { op: "channelShuffle", attrs: { groups } };
}

/** The name of a value in plain order, made by an operator if its view takes one. @throws Unsupported */
export function materialise(state: GraphState, value: Value): { readonly name: string; readonly shape: SampleShape } {
  const shape = shapeOfValue(value);
  if (isInOrder(value.view) && shape.join() === value.baseShape.join()) return { name: value.base, shape };
  const key = `${value.base} ${JSON.stringify(value.view)}`;
  let name = state.views.get(key);
  if (name === undefined || !state.shapes.has(name)) {
    const { op, attrs } = viewOp(value);
    name = emitter(state, value.viewName ?? `${value.base}.view`)(op, [value.base], attrs).base;
    state.views.set(key, name);
  }
  return { name, shape };
}

export interface GraphState {
  readonly nodes: Node[];
  readonly shapes: Map<string, SampleShape>;
  /** Views that were made already. */
  readonly views: Map<string, string>;
}

/** Appends nodes under names that start with `prefix`. */
export function emitter({ nodes, shapes }: GraphState, prefix: string): Emit {
  return (op, inputs, attrs, { params = {}, suffix = "" } = {}) => {
    const wanted = suffix === "" ? prefix : `${prefix}.${suffix}`;
    let name = wanted;
    for (let i = 2; shapes.has(name); i++) name = `${wanted}.${i}`;
    const node = { name, op, inputs, params, attrs } as unknown as Node;
    const shape = shapeOf(
      node,
      inputs.map((input) => shapes.get(input)!),
    );
    shapes.set(name, shape);
    nodes.push(node);
    return plainValue(name, shape);
  };
}
