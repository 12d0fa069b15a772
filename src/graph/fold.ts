/** @file Folding of batch normalisation into the convolution before it, for deployment. */
import { AppError } from "../errors.ts";
import type { Graph, Model, Node, NodeOf, Weight } from "./types.ts";

function weightOf(weights: ReadonlyMap<string, Weight>, name: string | undefined): Weight {
  const weight = name === undefined ? undefined : weights.get(name);
  if (!weight) throw new AppError("SHAPE", `graph: weight "${name}" must be given, got none`);
  return weight;
}

/** w' = w·s/√(v + ε), b' = (b − m)·s/√(v + ε) + t per output channel, in float64. */
function foldPair(conv: NodeOf<"conv">, norm: NodeOf<"batchNorm">, weights: ReadonlyMap<string, Weight>) {
  const w = weightOf(weights, conv.params.weight);
  const bias = conv.params.bias === undefined ? null : weightOf(weights, conv.params.bias).data;
  const [scale, shift, mean, variance] = (["scale", "shift", "mean", "variance"] as const).map(
    (role) => weightOf(weights, norm.params[role]).data,
  );
  const data = new Float32Array(w.data.length);
  const folded = new Float32Array(w.shape[0]!);
  const factors = new Float64Array(folded.length);
  const perChannel = data.length / folded.length;
  for (let o = 0; o < folded.length; o++) {
    const factor = scale![o]! / Math.sqrt(variance![o]! + norm.attrs.epsilon);
    factors[o] = factor;
    for (let i = o * perChannel; i < (o + 1) * perChannel; i++) data[i] = w.data[i]! * factor;
    folded[o] = ((bias?.[o] ?? 0) - mean![o]!) * factor + shift![o]!;
  }
  return { weight: { shape: w.shape, data }, bias: { shape: [folded.length], data: folded }, factor: factors };
}

/** A deployed model, and where its weights come from. */
export interface FoldedModel extends Model {
  /** By the name of a folded weight: the weight it was, and its factor per output channel. */
  readonly scaled: ReadonlyMap<string, { readonly weight: string; readonly factor: Float64Array }>;
}

/**
 * The model as it is deployed: every batchNorm that alone reads a convolution becomes part of it, dropouts are left out. The
 * argument is untouched; weights that stay as they are are shared.
 * @throws AppError SHAPE when a weight is missing
 */
export function foldBatchNorm({ graph, weights }: Model): FoldedModel {
  const readers = new Map<string, number>();
  for (const node of graph.nodes) for (const name of node.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  const byName = new Map(graph.nodes.map((node) => [node.name, node]));
  const renamed = new Map<string, string>();
  const folded = new Map<string, Weight>();
  const scaled = new Map<string, { readonly weight: string; readonly factor: Float64Array }>();
  const nodes = new Map<string, Node>();
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => renamed.get(name) ?? name);
    const producer = byName.get(node.inputs[0] ?? "");
    if (node.op === "dropout") {
      renamed.set(node.name, inputs[0]!);
    } else if (node.op === "batchNorm" && producer?.op === "conv" && readers.get(producer.name) === 1 && graph.output !== producer.name) {
      const pair = foldPair(producer, node, weights);
      const params = { weight: `${producer.name}.folded.weight`, bias: `${producer.name}.folded.bias` };
      folded.set(params.weight, pair.weight);
      folded.set(params.bias, pair.bias);
      scaled.set(params.weight, { weight: producer.params.weight!, factor: pair.factor });
      nodes.set(producer.name, { ...(nodes.get(producer.name) as NodeOf<"conv">), params, attrs: { ...producer.attrs, hasBias: true } });
      renamed.set(node.name, producer.name);
    } else {
      nodes.set(node.name, { ...node, inputs } as Node);
      for (const name of Object.values(node.params)) folded.set(name, weightOf(weights, name));
    }
  }
  const used = new Set([...nodes.values()].flatMap((node) => Object.values(node.params)));
  const folding: Graph = { ...graph, nodes: [...nodes.values()], output: renamed.get(graph.output) ?? graph.output };
  return { graph: folding, weights: new Map([...folded].filter(([name]) => used.has(name))), scaled };
}
