/** @file ONNX nodes for every operator of the intermediate representation. */
import { AppError } from "../errors.ts";
import type { NodeOf, OpAttrs, OpType, Padding, SampleShape, Weights } from "../graph/types.ts";
import { codeBounds, usedRange } from "../tensor/ops/quantize.ts";
import { ATTRIBUTE_TYPE, type AttributeProto, DATA_TYPE, type TensorProto } from "./schema.ts";

/** Collects the nodes and constants that one operator becomes. */
export interface Emitter {
  node(opType: string, inputs: readonly string[], output: string, attributes?: readonly AttributeProto[]): void;
  /** Adds a constant and returns its name. */
  floats(name: string, values: readonly number[], dims?: readonly number[]): string;
  ints(name: string, values: readonly number[]): string;
  /** One unsigned byte. */
  byte(name: string, value: number): string;
}

interface Call<K extends OpType> {
  readonly node: NodeOf<K>;
  readonly inputShape: SampleShape;
  readonly weights: Weights;
  readonly emit: Emitter;
}
type Rule<K extends OpType> = (call: Call<K>) => void;

export const int = (name: string, i: number): AttributeProto => ({ name, type: ATTRIBUTE_TYPE.int, i });
export const ints = (name: string, values: readonly number[]): AttributeProto => ({ name, type: ATTRIBUTE_TYPE.ints, ints: [...values] });
export const tensorAttribute = (name: string, t: TensorProto): AttributeProto => ({ name, type: ATTRIBUTE_TYPE.tensor, t });
const float = (name: string, f: number): AttributeProto => ({ name, type: ATTRIBUTE_TYPE.float, f });
const pads = ({ top, left, bottom, right }: Padding) => ints("pads", [top, left, bottom, right]);

/** Of the constant that is code 0 in a byte. */
export const zeroName = ({ isSigned }: OpAttrs["quantize"]): string => `zero.${isSigned ? 128 : 0}`;

/** A node with the same inputs and no attributes. */
const plain =
  <K extends OpType>(opType: string): Rule<K> =>
  ({ node, emit }) =>
    emit.node(opType, node.inputs, node.name);

const weights = (node: NodeOf<"conv"> | NodeOf<"linear">): string[] => [
  node.params.weight!,
  ...(node.attrs.hasBias ? [node.params.bias!] : []),
];
const pool = (a: OpAttrs["maxPool"]) => [ints("kernel_shape", a.kernel), ints("strides", a.stride), pads(a.padding)];

export const onnxRules: { [K in OpType]: Rule<K> } = {
  conv: ({ node, emit }) => {
    const { kernel, stride, dilation, groups, padding } = node.attrs;
    const attributes = [
      ints("kernel_shape", kernel),
      ints("strides", stride),
      ints("dilations", dilation),
      int("group", groups),
      pads(padding),
    ];
    emit.node("Conv", [...node.inputs, ...weights(node)], node.name, attributes);
  },
  batchNorm: ({ node, emit }) => {
    const { scale, shift, mean, variance } = node.params;
    emit.node("BatchNormalization", [...node.inputs, scale!, shift!, mean!, variance!], node.name, [
      float("epsilon", node.attrs.epsilon),
      float("momentum", 1 - node.attrs.momentum),
    ]);
  },
  relu: plain("Relu"),
  clip: ({ node, emit }) => {
    const { min, max } = node.attrs;
    emit.node("Clip", [...node.inputs, emit.floats(`clip.min.${min}`, [min], []), emit.floats(`clip.max.${max}`, [max], [])], node.name);
  },
  leakyRelu: ({ node, emit }) => emit.node("LeakyRelu", node.inputs, node.name, [float("alpha", node.attrs.slope)]),
  hardSwish: plain("HardSwish"),
  sigmoid: plain("Sigmoid"),
  hardSigmoid: ({ node, emit }) => emit.node("HardSigmoid", node.inputs, node.name, [float("alpha", 1 / 6), float("beta", 0.5)]),
  affine: ({ node, emit }) => {
    const { scale, shift } = node.attrs;
    const product = shift === 0 ? node.name : `${node.name}.scaled`;
    if (scale !== 1 || shift === 0) emit.node("Mul", [...node.inputs, emit.floats(`${node.name}.scale`, [scale], [])], product);
    const scaled = scale === 1 ? node.inputs : [product];
    if (shift !== 0) emit.node("Add", [...scaled, emit.floats(`${node.name}.shift`, [shift], [])], node.name);
  },
  add: plain("Add"),
  mul: plain("Mul"),
  concat: ({ node, emit }) => emit.node("Concat", node.inputs, node.name, [int("axis", 1)]),
  maxPool: ({ node, emit }) => emit.node("MaxPool", node.inputs, node.name, pool(node.attrs)),
  averagePool: ({ node, emit }) =>
    emit.node("AveragePool", node.inputs, node.name, [
      ...pool(node.attrs),
      int("count_include_pad", node.attrs.countIncludesPadding ? 1 : 0),
    ]),
  globalAveragePool: plain("GlobalAveragePool"),
  padChannels: ({ node, emit }) => {
    const name = `${node.name}.pads`;
    emit.node("Pad", [...node.inputs, emit.ints(name, [0, 0, 0, 0, 0, node.attrs.after, 0, 0])], node.name);
  },
  pad: ({ node, emit }) => {
    const { top, left, bottom, right } = node.attrs.padding;
    emit.node("Pad", [...node.inputs, emit.ints(`${node.name}.pads`, [0, 0, top, left, 0, 0, bottom, right])], node.name);
  },
  sliceChannels: ({ node, emit }) => {
    const { start, count } = node.attrs;
    const bounds = [emit.ints(`${node.name}.start`, [start]), emit.ints(`${node.name}.end`, [start + count])];
    emit.node("Slice", [...node.inputs, ...bounds, emit.ints("axis.channels", [1])], node.name);
  },
  channelShuffle: ({ node, inputShape, emit }) => {
    const [c, h, w] = inputShape as [number, number, number];
    const { groups } = node.attrs;
    const [split, swapped] = [`${node.name}.split`, `${node.name}.swapped`];
    emit.node("Reshape", [...node.inputs, emit.ints(`${split}.shape`, [0, groups, c / groups, h, w])], split);
    emit.node("Transpose", [split], swapped, [ints("perm", [0, 2, 1, 3, 4])]);
    emit.node("Reshape", [swapped, emit.ints(`${node.name}.shape`, [0, c, h, w])], node.name);
  },
  lrn: ({ node, emit }) => {
    const { size, alpha, beta, bias } = node.attrs;
    emit.node("LRN", node.inputs, node.name, [int("size", size), float("alpha", alpha), float("beta", beta), float("bias", bias)]);
  },
  linear: ({ node, emit }) => emit.node("Gemm", [...node.inputs, ...weights(node)], node.name, [int("transB", 1)]),
  flatten: ({ node, emit }) => emit.node("Flatten", node.inputs, node.name, [int("axis", 1)]),
  reshape: ({ node, emit }) => emit.node("Reshape", [...node.inputs, emit.ints(`${node.name}.shape`, [0, ...node.attrs.shape])], node.name),
  softmax: ({ node, emit }) => emit.node("Softmax", node.inputs, node.name, [int("axis", 1)]),
  dropout: ({ node, emit }) => emit.node("Dropout", [...node.inputs, emit.floats(`${node.name}.ratio`, [node.attrs.rate], [])], node.name),
  quantize: ({ node, emit, weights }) => {
    const { min, max } = codeBounds(node.attrs);
    const step = usedRange(weights.get(node.params.range!)!.data) / max;
    const name = (part: string) => `${node.name}.${part}`;
    let [x] = node.inputs as [string];
    // QuantizeLinear itself clips to the 256 codes of a byte only.
    if (node.attrs.bits < 8) {
      emit.node("Clip", [x, emit.floats(name("min"), [min * step], []), emit.floats(name("max"), [max * step], [])], name("clipped"));
      x = name("clipped");
    }
    const scale = [emit.floats(name("step"), [step], []), emit.byte(zeroName(node.attrs), node.attrs.isSigned ? 128 : 0)];
    emit.node("QuantizeLinear", [x, ...scale], name("codes"));
    emit.node("DequantizeLinear", [name("codes"), ...scale], node.name);
  },
  opaque: ({ node }) => {
    throw new AppError("ONNX", `onnx: every node must be one that Fettle can write, got ${node.attrs.opType} "${node.name}"`);
  },
};

export function floatTensor(name: string, dims: readonly number[], data: Float32Array): TensorProto {
  return { name, dims: [...dims], dataType: DATA_TYPE.float, rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

export function intTensor(name: string, values: readonly number[]): TensorProto {
  return { name, dims: [values.length], dataType: DATA_TYPE.int64, rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) };
}
