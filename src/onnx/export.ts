/** @file A model as an ONNX file. */
import { foldBatchNorm } from "../graph/fold.ts";
import { isLayer } from "../graph/layers.ts";
import type { QuantizedWeights } from "../graph/quantized-weight.ts";
import { inferShapes } from "../graph/shapes.ts";
import type { Model, SampleShape, Weights } from "../graph/types.ts";
import { emitSpread, floatInputs } from "./float-kernels.ts";
import { withLooseClips } from "./loose-clips.ts";
import { type Emitter, floatTensor, ints, intTensor, onnxRules, zeroName } from "./nodes.ts";
import { DATA_TYPE, type ModelProto, modelType, type NodeProto, type TensorProto, type ValueInfoProto } from "./schema.ts";
import { storeWeights } from "./stored-weights.ts";
import { withUniqueNames } from "./unique-names.ts";

export interface ExportOptions {
  /** Fixed batch size, or any (default). */
  readonly batch?: number | "dynamic";
  /** Key-value pairs kept in the file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Fold batch normalisation into convolutions and leave dropout out (default true). */
  readonly fold?: boolean;
  /** Store weights with many zeros so that the file is smaller (default false). */
  readonly sparse?: boolean;
  /** Store these weights as codes, by name (as in the model, before folding). */
  readonly quantized?: QuantizedWeights;
}

export const OPSET = 17;
/** The format version that opset 17 came with. */
const IR_VERSION = 8;
/** What files call the result if the graph does not say. */
export const OUTPUT_NAME = "logits";

function valueInfo(name: string, shape: SampleShape, batch: number | "dynamic"): ValueInfoProto {
  const dim = [batch === "dynamic" ? { dimParam: "N" } : { dimValue: batch }, ...shape.map((dimValue) => ({ dimValue }))];
  return { name, type: { tensorType: { elemType: DATA_TYPE.float, shape: { dim } } } };
}

/**
 * Encodes a model for inference: float32, opset 17, input `graph.input.name` [N, …], output `graph.outputName` or "logits". The same model gives the
 * same bytes.
 */
export function exportOnnx(model: Model, options: ExportOptions = {}): Uint8Array {
  const { batch = "dynamic", metadata = {}, fold = true, sparse = false, quantized = new Map() } = options;
  const outputName = model.graph.outputName ?? OUTPUT_NAME;
  const folded = fold ? foldBatchNorm(model) : { ...model, scaled: new Map() };
  const deployed = withUniqueNames(withLooseClips(folded), outputName);
  const { graph, weights } = deployed;
  const shapes = inferShapes(graph);
  const stored = storeWeights(deployed, { sparse, quantized });
  const nodes: NodeProto[] = [...stored.nodes];
  const tensors = new Map<string, TensorProto>(stored.tensors.map((tensor) => [tensor.name, tensor]));
  const isTransposed = graph.input.layout === "NHWC";
  const rename = (name: string) => (name === graph.output ? outputName : isTransposed && name === graph.input.name ? `${name}.nchw` : name);
  const emit: Emitter = {
    node: (opType, input, output, attribute = []) =>
      nodes.push({ name: output, opType, input: input.map(rename), output: [rename(output)], attribute: [...attribute] }),
    floats: (name, values, dims = [values.length]) => {
      tensors.set(name, floatTensor(name, dims, Float32Array.from(values)));
      return name;
    },
    ints: (name, values) => {
      tensors.set(name, intTensor(name, values));
      return name;
    },
    byte: (name, value) => {
      tensors.set(name, { name, dims: [], dataType: DATA_TYPE.uint8, rawData: Uint8Array.of(value) });
      return name;
    },
  };
  if (isTransposed) {
    const output = [rename(graph.input.name)];
    nodes.push({ name: output[0]!, opType: "Transpose", input: [graph.input.name], output, attribute: [ints("perm", [0, 3, 1, 2])] });
  }
  const [c, h, w] = graph.input.shape;
  const fileShape = isTransposed ? [h!, w!, c!] : graph.input.shape;
  const spread = floatInputs(graph, stored.integers);
  for (const original of graph.nodes) {
    const own = isLayer(original) && !stored.integers.has(original.name) ? spread.get(original.inputs[0]!) : undefined;
    const node = own ? { ...original, inputs: [own] } : original;
    const rule = onnxRules[node.op] as (call: { node: unknown; inputShape: SampleShape; weights: Weights; emit: Emitter }) => void;
    rule({ node, inputShape: shapes.get(original.inputs[0]!)!, weights, emit });
    const name = spread.get(node.name);
    if (node.op === "quantize" && name) emitSpread(node.name, name, zeroName(node.attrs), shapes.get(node.name)!, emit);
  }
  const used = new Set([outputName, ...nodes.flatMap(({ input }) => input)]);
  const proto: ModelProto = {
    irVersion: IR_VERSION,
    producerName: "fettle",
    producerVersion: "0.1.0",
    opsetImport: [{ domain: "", version: OPSET }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: nodes.filter(({ opType, output }) => opType !== "DequantizeLinear" || used.has(output[0]!)),
      initializer: [...tensors.values()],
      input: [valueInfo(graph.input.name, fileShape, batch)],
      output: [valueInfo(outputName, shapes.get(graph.output)!, batch)],
    },
  };
  return modelType.encode(modelType.fromObject(proto)).finish();
}
