/** @file The graph of an ONNX file that Fettle exported, for counting. */
import { AppError } from "../errors.ts";
import type { Graph, Node, NodeOf, OpType, Padding, Pair, SampleShape } from "../graph/types.ts";
import { modelType } from "./schema.ts";

interface AttributeObject {
  readonly name: string;
  readonly f?: number;
  readonly i?: number | string;
  readonly ints?: readonly (number | string)[];
}
interface NodeObject {
  readonly name?: string;
  readonly opType: string;
  readonly input?: readonly string[];
  readonly output: readonly string[];
  readonly attribute?: readonly AttributeObject[];
}
interface TensorObject {
  readonly name: string;
  readonly dims?: readonly (number | string)[];
  readonly rawData?: Uint8Array;
}
interface GraphObject {
  readonly name?: string;
  readonly node?: readonly NodeObject[];
  readonly initializer?: readonly TensorObject[];
  readonly input?: readonly {
    readonly name: string;
    readonly type?: { readonly tensorType?: { readonly shape?: { readonly dim?: readonly { readonly dimValue?: number | string }[] } } };
  }[];
  readonly output?: readonly { readonly name: string }[];
}

interface Reader {
  readonly node: NodeObject;
  ints(name: string, fallback: readonly number[]): number[];
  float(name: string, fallback: number): number;
  int(name: string, fallback: number): number;
  dims(input: number): number[];
  /** Numbers of a constant input. */
  floats(input: number): Float32Array;
  int64s(input: number): number[];
}
type Parsed = { readonly [K in OpType]: Pick<NodeOf<K>, "op" | "attrs" | "params"> & { readonly dataInputs?: number } }[OpType];
const none = (op: OpType): Parsed => ({ op, attrs: {}, params: {} }) as Parsed;

const pair = (values: readonly number[]): Pair => [values[0]!, values[1]!];
const padding = ([top, left, bottom, right]: readonly number[]): Padding => ({ top: top!, left: left!, bottom: bottom!, right: right! });
const window = (r: Reader) => ({
  kernel: pair(r.ints("kernel_shape", [])),
  stride: pair(r.ints("strides", [1, 1])),
  padding: padding(r.ints("pads", [0, 0, 0, 0])),
});

/** ONNX operators and what they are here. */
const rules: Readonly<Record<string, (r: Reader) => Parsed>> = {
  Conv: (r) => {
    const [outChannels, , kh, kw] = r.dims(1) as [number, number, number, number];
    const hasBias = (r.node.input?.length ?? 0) > 2;
    const params = { weight: r.node.input![1]!, ...(hasBias ? { bias: r.node.input![2]! } : {}) };
    return {
      op: "conv",
      params,
      attrs: {
        ...window(r),
        kernel: [kh, kw],
        outChannels,
        dilation: pair(r.ints("dilations", [1, 1])),
        groups: r.int("group", 1),
        hasBias,
      },
    };
  },
  BatchNormalization: (r) => {
    const [, scale, shift, mean, variance] = r.node.input as [string, string, string, string, string];
    return { op: "batchNorm", params: { scale, shift, mean, variance }, attrs: { epsilon: r.float("epsilon", 1e-5), momentum: 0.1 } };
  },
  Relu: () => none("relu"),
  Clip: (r) => ({ op: "clip", params: {}, attrs: { min: r.floats(1)[0]!, max: r.floats(2)[0]! } }),
  LeakyRelu: (r) => ({ op: "leakyRelu", params: {}, attrs: { slope: r.float("alpha", 0.01) } }),
  HardSwish: () => none("hardSwish"),
  Sigmoid: () => none("sigmoid"),
  HardSigmoid: () => none("hardSigmoid"),
  Add: () => ({ ...none("add"), dataInputs: 2 }),
  Mul: () => ({ ...none("mul"), dataInputs: 2 }),
  Concat: (r) => ({ ...none("concat"), dataInputs: r.node.input!.length }),
  MaxPool: (r) => ({ op: "maxPool", params: {}, attrs: window(r) }),
  AveragePool: (r) => ({
    op: "averagePool",
    params: {},
    attrs: { ...window(r), countIncludesPadding: r.int("count_include_pad", 0) === 1 },
  }),
  GlobalAveragePool: () => none("globalAveragePool"),
  Pad: (r) => ({ op: "padChannels", params: {}, attrs: { after: r.int64s(1)[5]! } }),
  Gemm: (r) => {
    const hasBias = (r.node.input?.length ?? 0) > 2;
    const params = { weight: r.node.input![1]!, ...(hasBias ? { bias: r.node.input![2]! } : {}) };
    return { op: "linear", params, attrs: { outFeatures: r.dims(1)[0]!, hasBias } };
  },
  Flatten: () => none("flatten"),
  Reshape: (r) => ({ op: "reshape", params: {}, attrs: { shape: r.int64s(1).slice(1) } }),
  Softmax: () => none("softmax"),
  Identity: () => ({ op: "dropout", params: {}, attrs: { rate: 0 } }),
};

function decode(bytes: Uint8Array, path: string): GraphObject {
  try {
    const { graph } = modelType.toObject(modelType.decode(bytes), { longs: Number }) as { graph?: GraphObject };
    if (graph?.node?.length) return graph;
  } catch (error) {
    throw new AppError("ONNX", `onnx: ${path} must be an ONNX model, got ${(error as Error).message}`, { cause: error });
  }
  throw new AppError("ONNX", `onnx: ${path} must be an ONNX model with nodes, got none`);
}

/**
 * Reads the operators that Fettle exports.
 * @throws AppError ONNX for another kind of file, or naming the first operator it does not know
 */
export function readOnnxGraph(bytes: Uint8Array, path: string): Graph {
  const graph = decode(bytes, path);
  const constants = new Map((graph.initializer ?? []).map((tensor) => [tensor.name, tensor]));
  const [input] = (graph.input ?? []).filter(({ name }) => !constants.has(name));
  const shape: SampleShape = (input?.type?.tensorType?.shape?.dim ?? []).slice(1).map((dim) => Number(dim.dimValue ?? 0));
  if (!input || shape.length === 0 || shape.some((n) => n < 1))
    throw new AppError("ONNX", `onnx: ${path} must declare the shape of its input, got [${shape}]`);
  const nodes = graph.node!.map((node): Node => {
    const rule = Object.hasOwn(rules, node.opType) ? rules[node.opType] : undefined;
    if (!rule)
      throw new AppError(
        "ONNX",
        `onnx: ${path} must use the operators that Fettle exports, got ${node.opType} at node "${node.name || node.output[0]}"`,
      );
    const attribute = (name: string) => node.attribute?.find((a) => a.name === name);
    const constant = (i: number) => constants.get(node.input?.[i] ?? "");
    const raw = (i: number) => Uint8Array.from(constant(i)?.rawData ?? []).buffer;
    const reader: Reader = {
      node,
      ints: (name, fallback) => (attribute(name)?.ints ?? fallback).map(Number),
      float: (name, fallback) => attribute(name)?.f ?? fallback,
      int: (name, fallback) => Number(attribute(name)?.i ?? fallback),
      dims: (i) => (constant(i)?.dims ?? []).map(Number),
      floats: (i) => new Float32Array(raw(i)),
      int64s: (i) => [...new BigInt64Array(raw(i))].map(Number),
    };
    const { dataInputs = 1, ...parsed } = rule(reader);
    return { ...parsed, name: node.output[0]!, inputs: node.input!.slice(0, dataInputs) } as Node;
  });
  return { name: graph.name ?? path, input: { name: input.name, shape }, nodes, output: graph.output![0]!.name };
}
