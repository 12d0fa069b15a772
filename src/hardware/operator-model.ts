/**
 * @file Small ONNX models that time one operator.
 *
 * A call into ONNX Runtime costs 10 to 20 µs, and a lone convolution is wrapped in conversions to and from its blocked layout
 * that a whole network does not have. So an operator is timed as a slope: a model with `copies` of it, all reading the same input,
 * each adding its result to the one before, as convolutions do with residuals. What is spent once cancels out between two
 * numbers of copies. What the sum costs is known from an operator that can be timed both ways, summed and as a chain in which
 * each copy reads the result of the one before; operators that keep their input's shape are timed as chains at once.
 */
import { paramSpecs } from "../graph/params.ts";
import type { Graph, Model, Node, NodeOf, SampleShape, Weight } from "../graph/types.ts";
import { exportOnnx } from "../onnx/export.ts";
import type { Rng } from "../util/rng.ts";
import type { Operator } from "./operators.ts";

function randomWeights(graph: Graph, rng: Rng): Map<string, Weight> {
  const weights = new Map<string, Weight>();
  for (const { name, shape, fanIn } of paramSpecs(graph).values()) {
    const data = new Float32Array(shape.reduce((product, n) => product * n, 1)).map(() => (2 * rng.uniform() - 1) / Math.sqrt(fanIn));
    weights.set(name, { shape, data });
  }
  return weights;
}

/** Copy `i` of the operator with parameters of its own. */
function copyOf(node: Node, i: number, input: string): Node {
  const name = `copy${i}`;
  if (node.op === "conv" || node.op === "linear") {
    const params = { weight: `${name}.weight`, bias: `${name}.bias` };
    return { ...node, name, inputs: [input], params, attrs: { ...node.attrs, hasBias: true } } as Node;
  }
  return { ...node, name, inputs: node.inputs.map(() => input), params: {} } as Node;
}

export type Arrangement = "chain" | "sums";

/** Whether copies can read each other's results. */
export function canChain({ node, inputShape, outputShape, addsResidual }: Operator): boolean {
  return node.op === "conv" && !addsResidual && inputShape.join() === outputShape.join();
}

/**
 * `copies` of the operator. Operators without weights read the result of a cheap convolution of their own (`feedNode`), since
 * ONNX Runtime would merge equal nodes.
 */
export function operatorGraph(operator: Operator, copies: number, arrangement: Arrangement): Graph {
  const nodes: Node[] = [];
  const ownInput = operator.node.op !== "conv" && operator.node.op !== "linear";
  let last: string | null = null;
  for (let i = 0; i < copies; i++) {
    const feed = ownInput ? feedNode(operator, i) : null;
    if (feed) nodes.push(feed);
    const input = arrangement === "chain" && last !== null ? last : "input";
    const copy = copyOf(operator.node, i, feed?.name ?? input);
    nodes.push(copy);
    let result = copy.name;
    if (arrangement === "sums" && last !== null) {
      nodes.push({ name: `sum${i}`, op: "add", inputs: [result, last], params: {}, attrs: {} });
      result = `sum${i}`;
    }
    if (operator.activation) {
      const { op, attrs } = operator.activation;
      nodes.push({ name: `act${i}`, op, inputs: [result], params: {}, attrs } as Node);
      result = `act${i}`;
    }
    last = result;
  }
  return { name: "operator", input: { name: "input", shape: operator.inputShape }, nodes, output: last! };
}

/** A 1×1 depthwise convolution, the cheapest operator that gives each copy an input of its own. */
export function feedNode({ inputShape }: { readonly inputShape: SampleShape }, i: number): NodeOf<"conv"> | null {
  if (inputShape.length !== 3) return null;
  const channels = inputShape[0]!;
  return {
    name: `feed${i}`,
    op: "conv",
    inputs: ["input"],
    params: { weight: `feed${i}.weight`, bias: `feed${i}.bias` },
    attrs: {
      outChannels: channels,
      kernel: [1, 1],
      stride: [1, 1],
      padding: { top: 0, left: 0, bottom: 0, right: 0 },
      dilation: [1, 1],
      groups: channels,
      hasBias: true,
    },
  };
}

/** The graph as an ONNX file of batch 1 with random weights. */
export function timingModel(graph: Graph, rng: Rng): Uint8Array {
  const model: Model = { graph, weights: randomWeights(graph, rng) };
  return exportOnnx(model, { batch: 1, fold: false });
}

/** A graph that does nothing: what a call costs. */
export function emptyGraph(inputShape: readonly number[]): Graph {
  return {
    name: "empty",
    input: { name: "input", shape: inputShape },
    nodes: [{ name: "out", op: "dropout", inputs: ["input"], params: {}, attrs: { rate: 0 } }],
    output: "out",
  };
}
