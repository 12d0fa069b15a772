/** @file ONNX files as models: any image classifier of opset 7 and up; what cannot be expressed stays in the graph as an opaque node. */
import { AppError } from "../../errors.ts";
import { opaqueNodes } from "../../graph/opaque.ts";
import type { Graph, Model, Node, SampleShape } from "../../graph/types.ts";
import { OUTPUT_NAME } from "../export.ts";
import { createCall, type ImportState } from "./call.ts";
import { emitter, materialise, plainValue, require, shapeOfValue, Unsupported, type Value } from "./context.ts";
import { decodeOnnx, type OnnxGraph, type OnnxNode, type OnnxValue } from "./decode.ts";
import { foldingBudget, foldNode, isFoldable } from "./fold.ts";
import { simplify, withoutDeadNodes } from "./patterns.ts";
import { elementwiseRules } from "./rules-elementwise.ts";
import { layerRules, type Rule } from "./rules-layers.ts";
import { quantizeRules } from "./rules-quantize.ts";
import { shapeRules } from "./rules-shape.ts";
import { type Constant, readTensor, type TensorMessage } from "./tensors.ts";
import { plainView, transposeView } from "./view.ts";

export interface ImportOptions {
  /** [C, H, W] where the file leaves it open. */
  readonly inputShape?: SampleShape;
}

export interface ImportedModel extends Model {
  /** The file's own notes. */
  readonly metadata: ReadonlyMap<string, string>;
}

const RULES: Readonly<Record<string, Rule>> = { ...layerRules, ...elementwiseRules, ...shapeRules, ...quantizeRules };
/** Operators without a rule whose result is as large as their first input. */
const KEEPS_SHAPE: ReadonlySet<string> = new Set(
  "Abs Acos Asin Atan Celu Cos Elu Erf Exp Gelu InstanceNormalization LayerNormalization Log LogSoftmax LpNormalization Mish PRelu Pow Round Selu Sign Sin Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu".split(
    " ",
  ),
);
const UNKNOWN: SampleShape = [0];

/** Shape of one sample as the file declares it, null when it is open. */
function declaredShape(value: OnnxValue | undefined): SampleShape | null {
  const dims = value?.dims?.slice(1);
  return dims && dims.length > 0 && dims.every((n) => n !== null) ? (dims as number[]) : null;
}

const CHANNELS_FIRST = "0,3,1,2";
const isToChannelsFirst = ({ opType, attribute }: OnnxNode): boolean =>
  opType === "Transpose" && attribute.find(({ name }) => name === "perm")?.ints?.join() === CHANNELS_FIRST;

/** Operators by which files prepare their pixels before they turn them. */
const PREPARES: ReadonlySet<string> = new Set(["Add", "Cast", "Div", "Identity", "Mul", "Sub"]);

/** Whether everything that reads the value turns it to channels first, perhaps after arithmetic with constants. */
function isTurned({ nodes, constants }: OnnxGraph, name: string): boolean {
  const made = new Set(nodes.flatMap(({ opType, output }) => (opType === "Constant" ? output : [])));
  const isFixed = (input: string) => constants.has(input) || made.has(input);
  const turns = (value: string): boolean => {
    const readers = nodes.filter(({ input }) => input.includes(value));
    return (
      readers.length > 0 &&
      readers.every((node) => {
        if (isToChannelsFirst(node)) return true;
        return PREPARES.has(node.opType) && node.input.every((input) => input === value || isFixed(input)) && turns(node.output[0]!);
      })
    );
  };
  return turns(name);
}

/** The image input: its shape as the file has it, and whether channels come last. */
function inputOf(file: OnnxGraph, path: string, wanted: SampleShape | undefined) {
  const [input, second] = file.inputs;
  if (!input || second)
    throw new AppError("ONNX", `onnx: ${path} must have one input, got ${file.inputs.map(({ name }) => name).join(", ") || "none"}`);
  if (input.elementType !== 1 && input.elementType !== 0)
    throw new AppError("ONNX", `onnx: ${path} must read float32 numbers, got element type ${input.elementType}`);
  const dims = input.dims?.slice(1) ?? wanted ?? [];
  const isLast = dims.length === 3 && isTurned(file, input.name);
  const order = isLast && wanted ? [wanted[1]!, wanted[2]!, wanted[0]!] : wanted;
  const shape = dims.map((n, i) => n ?? order?.[i] ?? 0);
  if (shape.length === 0 || shape.some((n) => !(n > 0))) {
    const text = shape.map((n) => (n > 0 ? n : "?")).join("x");
    throw new AppError("ONNX", `onnx: ${path} must have an input of known shape, got ${text || "none"} — give it with --input CxHxW`);
  }
  if (order && shape.join() !== order.join())
    throw new AppError("ONNX", `onnx: the input of ${path} must be ${shape.join("x")} as the file says, got ${order.join("x")}`);
  return { name: input.name, shape, isLast };
}

/** A value of the graph in the axes of the file. */
function inputValue({ name, shape, isLast }: ReturnType<typeof inputOf>): { value: Value; input: Graph["input"] } {
  if (!isLast) return { value: plainValue(name, shape), input: { name, shape } };
  const [h, w, c] = shape as [number, number, number];
  const view = transposeView(plainView([c, h, w]), [1, 2, 0]);
  return { value: { base: name, baseShape: [c, h, w], view }, input: { name, shape: [c, h, w], layout: "NHWC" } };
}

/** A constant that stands in an attribute of the node. */
function attributeConstant(node: OnnxNode, path: string): Constant | null {
  const [attribute] = node.attribute;
  const numbers = (data: Constant["data"], dataType: number, dims: number[] = [data.length]): Constant => ({ dims, data, dataType });
  switch (attribute?.name) {
    case "value":
      return attribute.t ? readTensor(attribute.t as TensorMessage, path) : null;
    case "value_float":
      return numbers(Float32Array.of(attribute.f ?? 0), 1, []);
    case "value_floats":
      return numbers(Float32Array.from(attribute.floats ?? []), 1);
    case "value_int":
      return numbers(BigInt64Array.of(BigInt(attribute.i ?? 0)), 7, []);
    case "value_ints":
      return numbers(BigInt64Array.from(attribute.ints ?? [], BigInt), 7);
    default:
      return null;
  }
}

/** [1, …]: a batch of one, which shape arithmetic carries through. */
function shapeConstant(node: OnnxNode, value: Value): Constant {
  const bound = (name: string) => node.attribute.find((a) => a.name === name)?.i;
  const [start, end] = [bound("start"), bound("end")];
  const dims = [1, ...shapeOfValue(value)].slice(Number(start ?? 0), end === undefined ? undefined : Number(end));
  return { dims: [dims.length], dataType: 7, data: BigInt64Array.from(dims, BigInt) };
}

/** Constants that the node makes of constants, or null when it is computed from the image. @throws Unsupported */
async function constantsOf(state: ImportState, node: OnnxNode, path: string): Promise<readonly Constant[] | null> {
  const { constants, values } = state;
  if (node.opType === "Constant" && node.domain === "") {
    const constant = attributeConstant(node, path);
    return constant ? [constant] : null;
  }
  const value = values.get(node.input[0] ?? "");
  if (node.opType === "Shape" && value) return [shapeConstant(node, value)];
  const isKnown = node.input.length > 0 && node.input.every((name) => name === "" || constants.has(name));
  if (!isKnown || !isFoldable(node)) return null;
  try {
    return await foldNode(
      node,
      node.input.map((name) => constants.get(name) ?? null),
      state.file.opset,
      state.folding,
    );
  } catch (error) {
    throw new Unsupported(`constants that cannot be combined: ${(error as Error).message.split("\n")[0]}`);
  }
}

/** Puts an opaque node in place of one that cannot be expressed. */
function addOpaque(state: ImportState, node: OnnxNode, irName: string, reason: string): void {
  const inputs = node.input.flatMap((name) => {
    const value = state.values.get(name);
    return value ? [value.base] : [];
  });
  const first = state.values.get(node.input[0] ?? "");
  for (const [i, output] of node.output.entries()) {
    if (output === "") continue;
    const shape = declaredShape(state.file.values.get(output)) ?? (KEEPS_SHAPE.has(node.opType) && first ? shapeOfValue(first) : UNKNOWN);
    const opType = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
    const emit = emitter(state, irName);
    const value = emit("opaque", inputs, { opType, reason, shape }, node.output.length > 1 ? { suffix: `${i}` } : {});
    state.values.set(output, shape === UNKNOWN ? null : value);
  }
}

async function importNode(state: ImportState, node: OnnxNode, irName: string, path: string): Promise<void> {
  const before = state.nodes.length;
  try {
    const constants = await constantsOf(state, node, path);
    if (constants) {
      for (const [i, constant] of constants.entries()) state.constants.set(node.output[i]!, constant);
      return;
    }
    const rule = node.domain === "" && Object.hasOwn(RULES, node.opType) ? RULES[node.opType] : undefined;
    if (!rule) throw new Unsupported("an operator that Fettle does not know");
    const results = [rule(createCall(state, node, irName))].flat() as Value[];
    for (const [i, value] of results.entries()) state.values.set(node.output[i]!, value);
  } catch (error) {
    if (!(error instanceof Unsupported) && !(error instanceof AppError && error.code === "SHAPE")) throw error;
    for (const { name } of state.nodes.splice(before)) state.shapes.delete(name);
    addOpaque(state, node, irName, error.message);
  }
}

/**
 * Reads an ONNX file: float32 weights, inline or in files beside it.
 * Operators that Fettle cannot compute become opaque nodes, which can be counted but not run or trained.
 *
 * @param path for messages, and the folder of external data
 * @throws AppError ONNX for a file that is not ONNX, truncated or cyclic, with more than one input, or of unknown input shape
 */
export async function importOnnx(bytes: Uint8Array, path: string, options: ImportOptions = {}): Promise<ImportedModel> {
  const file = decodeOnnx(bytes, path);
  const declared = inputOf(file, path, options.inputShape);
  const { value, input } = inputValue(declared);
  const readers = new Map<string, number>();
  for (const name of [...file.nodes.flatMap((node) => node.input), ...file.outputs.map((output) => output.name)])
    readers.set(name, (readers.get(name) ?? 0) + 1);
  const state: ImportState = {
    file,
    constants: new Map(file.constants),
    folding: foldingBudget(file.constants.values()),
    values: new Map([[declared.name, value]]),
    weights: new Map(),
    nodes: [],
    shapes: new Map([[input.name, input.shape]]),
    views: new Map(),
    readers,
  };
  const names = new Map<string, number>();
  for (const { name } of file.nodes) names.set(name, (names.get(name) ?? 0) + 1);
  for (const node of file.nodes) {
    const isOwn = names.get(node.name) === 1 && node.name !== input.name;
    await importNode(state, node, isOwn ? node.name : node.output[0]!, path);
  }
  const output = file.outputs[0]?.name ?? "";
  const result = state.values.get(output);
  const graph = (name: string): Graph => {
    const base: Graph = { name: file.name, input, nodes: state.nodes, output: name };
    return output === OUTPUT_NAME ? base : { ...base, outputName: output };
  };
  if (result === undefined) throw new AppError("ONNX", `onnx: the output "${output}" of ${path} must depend on its input, got a constant`);
  const { metadata } = file;
  if (result === null) return { ...usedWeights({ graph: graph(lastOpaque(state.nodes)), weights: state.weights }), metadata };
  const model = { graph: withoutDeadNodes(graph(outputName(state, result))), weights: state.weights };
  return { ...usedWeights(opaqueNodes(model.graph).length > 0 ? model : simplify(model)), metadata };
}

function outputName(state: ImportState, result: Value): string {
  try {
    require(!result.codes, "an output of integers");
    return materialise(state, result).name;
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    const attrs = { opType: "Transpose", reason: error.message, shape: shapeOfValue(result) };
    return emitter(state, result.viewName ?? "output")("opaque", [result.base], attrs).base;
  }
}

const lastOpaque = (nodes: readonly Node[]): string => nodes.findLast(({ op }) => op === "opaque")!.name;

/** The model without weights that no node names. */
function usedWeights({ graph, weights }: Model): Model {
  const used = new Set(graph.nodes.flatMap((node) => Object.values(node.params)));
  return { graph, weights: new Map([...weights].filter(([name]) => used.has(name))) };
}
