/** @file From bytes to an ONNX graph whose nodes stand in execution order. */
import { AppError } from "../../errors.ts";
import { modelType } from "../schema.ts";
import { type Constant, readTensor, type TensorMessage } from "./tensors.ts";

export interface Attribute {
  readonly name: string;
  readonly f?: number;
  readonly i?: number | string;
  readonly s?: Uint8Array;
  readonly t?: TensorMessage;
  readonly floats?: readonly number[];
  readonly ints?: readonly (number | string)[];
}
export interface OnnxNode {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  /** "" for an optional input that is left out. */
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly Attribute[];
}
export interface OnnxValue {
  readonly name: string;
  /** ONNX element type; 0 when the file does not say. */
  readonly elementType: number;
  /** null for axes that are free or named; absent when the file does not say. */
  readonly dims?: readonly (number | null)[];
}
export interface OnnxGraph {
  readonly name: string;
  /** Version of the default operator set. */
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, Constant>;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Declared shapes of values in between. */
  readonly values: ReadonlyMap<string, OnnxValue>;
  readonly metadata: ReadonlyMap<string, string>;
}

interface ValueMessage {
  readonly name?: string;
  readonly type?: {
    readonly tensorType?: {
      readonly elemType?: number;
      readonly shape?: { readonly dim?: readonly { readonly dimValue?: number | string }[] };
    };
  };
}
interface ModelMessage {
  readonly metadataProps?: readonly { readonly key?: string; readonly value?: string }[];
  readonly opsetImport?: readonly { readonly domain?: string; readonly version?: number | string }[];
  readonly graph?: {
    readonly name?: string;
    readonly node?: readonly Partial<OnnxNode>[];
    readonly initializer?: readonly TensorMessage[];
    readonly input?: readonly ValueMessage[];
    readonly output?: readonly ValueMessage[];
    readonly valueInfo?: readonly ValueMessage[];
  };
}

const OLDEST_OPSET = 7;

function describeValue({ name = "", type }: ValueMessage): OnnxValue {
  const elementType = type?.tensorType?.elemType ?? 0;
  const shape = type?.tensorType?.shape;
  if (!shape) return { name, elementType };
  const size = (value: number | string | undefined) => (Number(value) > 0 ? Number(value) : null);
  return { name, elementType, dims: (shape.dim ?? []).map(({ dimValue }) => size(dimValue)) };
}

/** Nodes so that each stands after those it reads. @throws AppError ONNX for a cycle, an unknown value or one that is made twice */
function ordered(nodes: readonly OnnxNode[], given: ReadonlySet<string>, path: string): OnnxNode[] {
  const maker = new Map<string, OnnxNode>();
  for (const node of nodes) {
    for (const name of node.output) {
      if (name === "") continue;
      if (maker.has(name) || given.has(name)) throw new AppError("ONNX", `onnx: ${path} must make every value once, got "${name}" twice`);
      maker.set(name, node);
    }
  }
  const waiting = new Map<OnnxNode, number>();
  const readers = new Map<OnnxNode, OnnxNode[]>();
  for (const node of nodes) {
    const sources = new Set<OnnxNode>();
    for (const name of node.input) {
      if (name === "" || given.has(name)) continue;
      const source = maker.get(name);
      if (!source)
        throw new AppError("ONNX", `onnx: ${path} must define every value, got "${name}" at node "${node.name}" (${node.opType})`);
      sources.add(source);
    }
    waiting.set(node, sources.size);
    for (const source of sources) {
      const known = readers.get(source);
      if (known) known.push(node);
      else readers.set(source, [node]);
    }
  }
  const ready = nodes.filter((node) => waiting.get(node) === 0);
  for (let at = 0; at < ready.length; at++) {
    for (const reader of readers.get(ready[at]!) ?? []) {
      const left = waiting.get(reader)! - 1;
      waiting.set(reader, left);
      if (left === 0) ready.push(reader);
    }
  }
  if (ready.length < nodes.length) {
    const stuck = nodes.find((node) => waiting.get(node)! > 0)!;
    throw new AppError("ONNX", `onnx: ${path} must have no cycle, got one through node "${stuck.name}" (${stuck.opType})`);
  }
  const made = new Set<string>(given);
  const isInOrder = nodes.every((node) => {
    const isReady = node.input.every((name) => name === "" || made.has(name));
    for (const name of node.output) made.add(name);
    return isReady;
  });
  return isInOrder ? [...nodes] : ready;
}

/**
 * Decodes and checks an ONNX file of any size: lengths are checked against the bytes that are there before they are used.
 * @throws AppError ONNX for another kind of file, a truncated or cyclic one, or operators older than opset 7
 */
export function decodeOnnx(bytes: Uint8Array, path: string): OnnxGraph {
  let model: ModelMessage;
  try {
    model = modelType.toObject(modelType.decode(bytes), { longs: String }) as ModelMessage;
  } catch (error) {
    throw new AppError("ONNX", `onnx: ${path} must be a whole ONNX file, got ${(error as Error).message}`, { cause: error });
  }
  const { graph } = model;
  if (!graph?.node?.length) throw new AppError("ONNX", `onnx: ${path} must be an ONNX model with nodes, got none`);
  const opset = Number(
    model.opsetImport?.find(({ domain }) => domain === undefined || domain === "" || domain === "ai.onnx")?.version ?? 1,
  );
  if (opset < OLDEST_OPSET)
    throw new AppError(
      "ONNX",
      `onnx: ${path} must use opset ${OLDEST_OPSET} or later, got ${opset} — convert it with onnx.version_converter`,
    );
  const nodes = graph.node.map((node, i): OnnxNode => {
    const { opType = "", domain = "", input = [], output = [], attribute = [] } = node;
    return { name: node.name || `${opType}_${i}`, opType, domain: domain === "ai.onnx" ? "" : domain, input, output, attribute };
  });
  const constants = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? "", readTensor(tensor, path)]));
  const inputs = (graph.input ?? []).map(describeValue).filter(({ name }) => !constants.has(name));
  const given = new Set([...constants.keys(), ...inputs.map(({ name }) => name)]);
  return {
    name: graph.name || "onnx",
    opset,
    nodes: ordered(nodes, given, path),
    constants,
    inputs,
    outputs: (graph.output ?? []).map(describeValue),
    metadata: new Map((model.metadataProps ?? []).map(({ key = "", value = "" }) => [key, value])),
    values: new Map([...(graph.valueInfo ?? []), ...(graph.output ?? [])].map(describeValue).map((value) => [value.name, value])),
  };
}
