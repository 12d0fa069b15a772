/**
 * @file Weights of few bits in a standard file: bit planes of many layers in one tensor, which standard operators unpack when the file
 * is loaded. ONNX Runtime folds them into constants then, so that running costs nothing more.
 */
import { highestCode, type QuantizedWeight } from "../graph/quantized-weight.ts";
import { floatTensor, int, intTensor } from "./nodes.ts";
import { type AttributeProto, DATA_TYPE, type NodeProto, type TensorProto } from "./schema.ts";

/** A weight to store, under the name that the graph reads it by. */
export interface PackedWeight {
  readonly name: string;
  /** Put before the names of what it is made of: short, since a small file is mostly names. */
  readonly prefix: string;
  readonly quantized: QuantizedWeight;
  /** Whether the layer computes on 8-bit integers: then its weights stay integers, for kernels of integers. */
  readonly isInteger: boolean;
}

/** Weights that one chain of operators unpacks at most: its intermediate results take 4 bytes a weight and bit. */
const MOST_TOGETHER = 1 << 21;
const PLANES_PER_BYTE = 8;

/** Codes as numbers from 0: the sign bit's offset is added. */
const unsignedCode = (code: number, { bits, codebook }: QuantizedWeight): number =>
  codebook ? code : bits === 1 ? (code + 1) / 2 : code + highestCode(bits);

/** Plane p holds bit p of every code, eight codes a byte, the first in the highest bit. */
function planesOf(weights: readonly PackedWeight[], bits: number): Uint8Array {
  const total = weights.reduce((sum, { quantized }) => sum + quantized.codes.length, 0);
  const bytes = Math.ceil(total / PLANES_PER_BYTE);
  const planes = new Uint8Array(bits * bytes);
  let at = 0;
  for (const { quantized } of weights) {
    for (const signed of quantized.codes) {
      const code = unsignedCode(signed, quantized);
      for (let p = 0; p < bits; p++) planes[p * bytes + (at >> 3)]! |= ((code >> p) & 1) << (7 - (at & 7));
      at++;
    }
  }
  return planes;
}

/** Weights that are unpacked together: of equal bits and kind, not too many at once. */
function groupsOf(weights: readonly PackedWeight[]): PackedWeight[][] {
  const groups: PackedWeight[][] = [];
  const open = new Map<string, { group: PackedWeight[]; count: number }>();
  for (const weight of weights) {
    const { bits, codebook, codes } = weight.quantized;
    const key = `${bits} ${codebook !== null}`;
    let current = open.get(key);
    if (!current || current.count + codes.length > MOST_TOGETHER) {
      current = { group: [], count: 0 };
      open.set(key, current);
      groups.push(current.group);
    }
    current.group.push(weight);
    current.count += codes.length;
  }
  return groups;
}

interface Parts {
  readonly tensors: TensorProto[];
  readonly nodes: NodeProto[];
}

function writer() {
  const parts: Parts = { tensors: [], nodes: [] };
  return {
    parts,
    constant: (tensor: TensorProto): string => {
      if (!parts.tensors.some(({ name }) => name === tensor.name)) parts.tensors.push(tensor);
      return tensor.name;
    },
    node: (opType: string, input: string[], output: string | string[], attribute: AttributeProto[] = []): string => {
      const outputs = [output].flat();
      parts.nodes.push({ name: "", opType, input, output: outputs, attribute });
      return outputs[0]!;
    },
  };
}
type Writer = ReturnType<typeof writer>;

const int32Tensor = (name: string, dims: number[], values: readonly number[]): TensorProto => ({
  name,
  dims,
  dataType: DATA_TYPE.int32,
  rawData: new Uint8Array(Int32Array.from(values).buffer),
});
const int8Tensor = (name: string, dims: readonly number[], codes: Int16Array): TensorProto => ({
  name,
  dims: [...dims],
  dataType: DATA_TYPE.int8,
  rawData: new Uint8Array(Int8Array.from(codes).buffer),
});

/** The codes of a group, one after the other, as int32 from 0. */
function unpack({ constant, node }: Writer, group: readonly PackedWeight[], prefix: string): string {
  const { bits } = group[0]!.quantized;
  const planes = planesOf(group, bits);
  const bytes = planes.length / bits;
  const packed = constant({ name: `${prefix}.bits`, dims: [bits, bytes, 1], dataType: DATA_TYPE.uint8, rawData: planes });
  const shifts = constant(int32Tensor("u.shifts", [8], [128, 64, 32, 16, 8, 4, 2, 1]));
  const two = constant(int32Tensor("u.two", [], [2]));
  const values = constant(
    int32Tensor(
      `u.values${bits}`,
      [bits, 1, 1],
      Array.from({ length: bits }, (_, p) => 2 ** p),
    ),
  );
  const wide = node("Cast", [packed], `${prefix}.wide`, [int("to", DATA_TYPE.int32)]);
  const shifted = node("Div", [wide, shifts], `${prefix}.shifted`);
  const bit = node("Mod", [shifted, two], `${prefix}.bit`);
  const weighed = node("Mul", [bit, values], `${prefix}.weighed`);
  const summed = node("ReduceSum", [weighed, constant(intTensor("u.axis", [0]))], `${prefix}.summed`, [int("keepdims", 0)]);
  return node("Reshape", [summed, constant(intTensor("u.flat", [-1]))], `${prefix}.codes`);
}

/** Integers as weights: with their step, or by their shared values. */
function finish({ constant, node }: Writer, { name, prefix, quantized, isInteger }: PackedWeight, codes: string, areShaped: boolean): void {
  const { shape, scale, codebook } = quantized;
  const perChannel = [shape[0]!, ...shape.slice(1).map(() => 1)];
  const shaped = areShaped ? codes : node("Reshape", [codes, constant(intTensor(`${prefix}.shape`, shape))], `${prefix}.codes`);
  const isScaled = codebook === null || scale.some((s) => s !== 1);
  const factors = () => constant(floatTensor(`${prefix}.scale`, perChannel, scale));
  if (codebook) {
    const table = constant(floatTensor(`${prefix}.values`, [codebook.length], codebook));
    const shared = node("Gather", [table, shaped], isScaled ? `${prefix}.shared` : name);
    if (isScaled) node("Mul", [shared, factors()], name);
  } else if (isInteger) {
    node("DequantizeLinear", [shaped, constant(floatTensor(`${prefix}.scale`, [scale.length], scale))], name, [int("axis", 0)]);
  } else {
    const numbers = node("Cast", [shaped], `${prefix}.numbers`, [int("to", DATA_TYPE.float)]);
    node("Mul", [numbers, factors()], name);
  }
}

/** Tensors and nodes that make every weight under its name. Eight bits with steps are stored as they are, fewer as bit planes. */
export function packWeights(weights: readonly PackedWeight[]): Parts {
  const write = writer();
  const isWhole = ({ quantized: { bits, codebook } }: PackedWeight) => bits === 8 && codebook === null;
  for (const weight of weights.filter(isWhole)) {
    const { prefix, quantized } = weight;
    finish(write, weight, write.constant(int8Tensor(`${prefix}.codes`, quantized.shape, quantized.codes)), true);
  }
  for (const [g, group] of groupsOf(weights.filter((weight) => !isWhole(weight))).entries()) {
    const prefix = `u${g}`;
    const { bits, codebook } = group[0]!.quantized;
    let codes = unpack(write, group, prefix);
    if (!codebook) {
      const offset = write.constant(int32Tensor(`u.offset${bits}`, [], [highestCode(bits)]));
      const doubled = bits === 1 ? write.node("Mul", [codes, write.constant(int32Tensor("u.two", [], [2]))], `${prefix}.doubled`) : codes;
      const signed = write.node("Sub", [doubled, offset], `${prefix}.signed`);
      codes = write.node("Cast", [signed], `${prefix}.int8`, [int("to", DATA_TYPE.int8)]);
    }
    const sizes = group.map(({ quantized }) => quantized.codes.length);
    const total = sizes.reduce((sum, n) => sum + n, 0);
    const rest = PLANES_PER_BYTE * Math.ceil(total / PLANES_PER_BYTE) - total;
    const names = group.map(({ prefix }) => `${prefix}.flat`);
    const split = rest > 0 ? { sizes: [...sizes, rest], names: [...names, `${prefix}.rest`] } : { sizes, names };
    if (split.names.length === 1) finish(write, group[0]!, codes, false);
    else {
      const axis = int("axis", 0);
      write.node("Split", [codes, write.constant(intTensor(`${prefix}.sizes`, split.sizes))], split.names, [axis]);
      for (const weight of group) finish(write, weight, `${weight.prefix}.flat`, false);
    }
  }
  return write.parts;
}
