/** @file Shape arithmetic and transformed weights: nodes that read constants alone are computed once, by ONNX Runtime. */
import { InferenceSession } from "onnxruntime-node";
import { DATA_TYPE, modelType } from "../schema.ts";
import type { OnnxNode } from "./decode.ts";
import type { Constant } from "./tensors.ts";
import "../no-telemetry.ts";

/** Numbers that may still be made of a file's constants: a few bytes of it can ask for terabytes. */
export interface FoldingBudget {
  elements: number;
}
const LEAST_ELEMENTS = 1 << 25;
/** Packed weights become numbers in some twenty steps, and eight times as many as there are bytes. */
const ELEMENTS_PER_CONSTANT = 256;

export function foldingBudget(constants: Iterable<Constant>): FoldingBudget {
  let given = 0;
  for (const { data } of constants) given += data.length;
  return { elements: LEAST_ELEMENTS + ELEMENTS_PER_CONSTANT * given };
}

/** How many numbers an operator's result may have, from its inputs. */
const spread = (inputs: readonly (Constant | null)[]) => {
  const rank = Math.max(0, ...inputs.map((c) => c?.dims.length ?? 0));
  return Array.from({ length: rank }, (_, i) => Math.max(...inputs.map((c) => c?.dims.at(-1 - i) ?? 1))).reduce((a, b) => a * b, 1);
};
const total = (inputs: readonly (Constant | null)[]) => inputs.reduce((sum, c) => sum + (c?.data.length ?? 0), 0);
/** Infinity for a shape that is none: a product of negative numbers would give budget back. */
const requested = (shape: Constant | null | undefined) =>
  Array.from(shape?.data ?? [], Number).reduce((product, n) => (n < 0 ? Number.POSITIVE_INFINITY : product * n), 1);
type Bound = (inputs: readonly (Constant | null)[], node: OnnxNode) => number;
/** One entry of the table for each index. */
const gathered: Bound = ([table, at], node) => {
  const axis = Number(node.attribute.find(({ name }) => name === "axis")?.i ?? 0);
  return (at?.data.length ?? 0) * ((table?.data.length ?? 0) / Math.max(1, table?.dims.at(axis) ?? 1));
};
const BOUNDS: Readonly<Record<string, Bound>> = {
  ...Object.fromEntries(
    ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Mod", "Equal", "Greater", "Less", "Where", "And", "Or"].map((op) => [op, spread]),
  ),
  ...Object.fromEntries(
    [
      "Abs",
      "Cast",
      "Ceil",
      "Concat",
      "DequantizeLinear",
      "Exp",
      "Floor",
      "Identity",
      "Log",
      "Neg",
      "Not",
      "QuantizeLinear",
      "Reciprocal",
    ].map((op) => [op, total]),
  ),
  ...Object.fromEntries(
    [
      "ReduceMax",
      "ReduceMean",
      "ReduceMin",
      "ReduceProd",
      "ReduceSum",
      "Reshape",
      "Round",
      "Slice",
      "Split",
      "Sqrt",
      "Squeeze",
      "Transpose",
      "Unsqueeze",
    ].map((op) => [op, total]),
  ),
  ConstantOfShape: ([shape]) => requested(shape),
  CumSum: ([x]) => total([x ?? null]),
  ScatterElements: ([x]) => total([x ?? null]),
  Expand: ([x, shape]) => total([x ?? null]) * requested(shape),
  Gather: gathered,
  Shape: ([x]) => x?.dims.length ?? 0,
};

export const isFoldable = (node: OnnxNode): boolean => node.domain === "" && Object.hasOwn(BOUNDS, node.opType);

function bytesOf({ data }: Constant): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * The results of a node whose inputs are all known (null: left out).
 * @throws Error when ONNX Runtime refuses it or the result would be too large
 */
export async function foldNode(
  node: OnnxNode,
  inputs: readonly (Constant | null)[],
  opset: number,
  budget: FoldingBudget,
): Promise<Constant[]> {
  const elements = BOUNDS[node.opType]!(inputs, node);
  if (!(elements >= 0 && elements <= budget.elements)) throw new Error(`its result would have ${elements} numbers`);
  budget.elements -= elements;
  const name = (i: number) => `i${i}`;
  const model = {
    irVersion: 8,
    opsetImport: [{ domain: "", version: opset }],
    graph: {
      name: "fold",
      node: [{ ...node, name: "fold", input: inputs.map((c, i) => (c ? name(i) : "")), output: node.output.map((_, i) => `o${i}`) }],
      initializer: inputs.flatMap((c, i) => (c ? [{ name: name(i), dims: c.dims, dataType: c.dataType, rawData: bytesOf(c) }] : [])),
      output: node.output.map((_, i) => ({ name: `o${i}` })),
    },
  };
  const session = await InferenceSession.create(modelType.encode(modelType.fromObject(model)).finish(), {
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  try {
    const results = await session.run({});
    return node.output.map((_, i) => {
      const { dims, data, type } = results[`o${i}`]!;
      return { dims: [...dims], data: data as Constant["data"], dataType: TYPES[type] ?? DATA_TYPE.float };
    });
  } finally {
    await session.release();
  }
}

/** TensorProto.DataType by the names of ONNX Runtime. */
const TYPES: Readonly<Record<string, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float64: 11,
  uint32: 12,
};
