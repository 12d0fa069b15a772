/** @file Weights with many zeros, stored as gaps and values that standard operators put in place when the file is loaded. */
import type { Weight } from "../graph/types.ts";
import { floatTensor, int, intTensor, tensorAttribute } from "./nodes.ts";
import { DATA_TYPE, type NodeProto, type TensorProto } from "./schema.ts";

const LARGEST_GAP = 255;
/** One byte for the gap, four for the value. */
export const SPARSE_BYTES_PER_WEIGHT = 5;
/** Names and nodes that a sparse weight takes, roughly. */
const OVERHEAD_BYTES = 400;

/** Gaps between stored positions; zeros are stored where a gap would not fit a byte. */
function entriesOf(data: Float32Array): { readonly gaps: number[]; readonly values: number[] } {
  const gaps: number[] = [];
  const values: number[] = [];
  let last = 0;
  for (let i = 0; i < data.length; i++) {
    if (data[i] === 0 && i - last < LARGEST_GAP) continue;
    gaps.push(i - last);
    values.push(data[i]!);
    last = i;
  }
  return { gaps, values };
}

export interface SparseWeight {
  readonly tensors: readonly TensorProto[];
  readonly nodes: readonly NodeProto[];
}

/** The weight as constants and nodes that make it under its name, or null when it is no smaller that way. */
export function sparseWeight(name: string, { shape, data }: Weight): SparseWeight | null {
  const { gaps, values } = entriesOf(data);
  if (gaps.length * SPARSE_BYTES_PER_WEIGHT + OVERHEAD_BYTES >= 4 * data.length) return null;
  const part = (suffix: string) => `${name}.${suffix}`;
  const node = (opType: string, input: string[], output: string, attribute: NodeProto["attribute"] = []): NodeProto => ({
    name: output,
    opType,
    input,
    output: [output],
    attribute,
  });
  const zero = tensorAttribute("value", floatTensor("", [1], Float32Array.of(0)));
  const gapTensor: TensorProto = { name: part("gaps"), dims: [gaps.length], dataType: DATA_TYPE.uint8, rawData: Uint8Array.from(gaps) };
  return {
    tensors: [
      gapTensor,
      floatTensor(part("values"), [values.length], Float32Array.from(values)),
      intTensor(part("size"), [data.length]),
      intTensor(part("shape"), shape),
      { ...intTensor(part("axis"), [0]), dims: [] },
    ],
    nodes: [
      node("Cast", [part("gaps")], part("steps"), [int("to", DATA_TYPE.int64)]),
      node("CumSum", [part("steps"), part("axis")], part("positions")),
      node("ConstantOfShape", [part("size")], part("zeros"), [zero]),
      node("ScatterElements", [part("zeros"), part("positions"), part("values")], part("flat"), [int("axis", 0)]),
      node("Reshape", [part("flat"), part("shape")], name),
    ],
  };
}
