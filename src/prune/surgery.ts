/** @file Removal of channels: a smaller model that computes what the larger one computes with those channels zeroed at every reader. */
import { AppError } from "../errors.ts";
import { isDepthwise } from "../graph/layers.ts";
import type { Graph, Model, Node, NodeOf, OpType, Weight } from "../graph/types.ts";
import { type Coupling, traceChannels } from "./coupling.ts";

/** Positions that stay, of a node's first input and of its result. */
interface Kept {
  readonly input: Int32Array;
  readonly output: Int32Array;
  /** Channels of the input before pruning. */
  readonly inputChannels: number;
}

/** Rows, and of each row the columns, of a weight [O, I, …]. */
function cut({ shape, data }: Weight, rows: ArrayLike<number>, columns: ArrayLike<number> | null): Weight {
  const [, inner = 1, ...cells] = shape;
  const cell = cells.reduce((product, n) => product * n, 1);
  const row = inner * cell;
  const width = columns ? columns.length * cell : row;
  const result = new Float32Array(rows.length * width);
  for (let r = 0; r < rows.length; r++) {
    const from = rows[r]! * row;
    if (!columns) result.set(data.subarray(from, from + row), r * width);
    else
      for (let c = 0; c < columns.length; c++) {
        const at = from + columns[c]! * cell;
        result.set(data.subarray(at, at + cell), r * width + c * cell);
      }
  }
  const rest = shape.length > 1 ? [columns ? columns.length : inner, ...cells] : [];
  return { shape: [rows.length, ...rest], data: result };
}

/** Columns of a layer's weight that stay: for a grouped convolution those of one group. */
function columnsOf(node: Node, { input, inputChannels }: Kept): Int32Array | null {
  if (node.op === "linear") return input;
  if (node.op !== "conv" || isDepthwise(node, inputChannels)) return null;
  const perGroup = inputChannels / node.attrs.groups;
  return input.filter((channel) => channel < perGroup);
}

type Rewrite<K extends OpType> = (node: NodeOf<K>, kept: Kept) => NodeOf<K>["attrs"];
const unchanged = <K extends OpType>({ attrs }: NodeOf<K>): NodeOf<K>["attrs"] => attrs;
/** Attributes after pruning: some operators count channels. */
const REWRITES: { readonly [K in OpType]: Rewrite<K> } = {
  conv: (node, { input, output, inputChannels }) => ({
    ...node.attrs,
    outChannels: output.length,
    groups: isDepthwise(node, inputChannels) ? input.length : node.attrs.groups,
  }),
  linear: (node, { output }) => ({ ...node.attrs, outFeatures: output.length }),
  padChannels: (_, { output, inputChannels }) => ({ after: output.filter((channel) => channel >= inputChannels).length }),
  sliceChannels: ({ attrs: { start, count } }, { input }) => ({
    start: input.filter((channel) => channel < start).length,
    count: input.filter((channel) => channel >= start && channel < start + count).length,
  }),
  reshape: ({ attrs: { shape } }, { output }) => ({ shape: [output.length, ...shape.slice(1)] }),
  batchNorm: unchanged,
  relu: unchanged,
  clip: unchanged,
  leakyRelu: unchanged,
  hardSwish: unchanged,
  sigmoid: unchanged,
  hardSigmoid: unchanged,
  affine: unchanged,
  add: unchanged,
  mul: unchanged,
  concat: unchanged,
  maxPool: unchanged,
  averagePool: unchanged,
  globalAveragePool: unchanged,
  pad: unchanged,
  quantize: unchanged,
  channelShuffle: unchanged,
  lrn: unchanged,
  flatten: unchanged,
  softmax: unchanged,
  dropout: unchanged,
  opaque: unchanged,
};

/**
 * The model without the given atoms (of `traceChannels`). The argument is untouched.
 * @throws AppError SHAPE when nothing of a value would be left
 */
export function removeChannels({ graph, weights }: Model, removed: ReadonlySet<number>, coupling: Coupling = traceChannels(graph)): Model {
  const positions = (value: string): Int32Array => {
    const atoms = coupling.atomsOf.get(value)!;
    const kept = Int32Array.from(atoms.keys()).filter((i) => !removed.has(atoms[i]!));
    if (kept.length === 0) throw new AppError("SHAPE", `prune: at least one channel of "${value}" must stay, got none`);
    return kept;
  };
  const pruned = new Map<string, Weight>();
  const nodes = graph.nodes.map((node): Node => {
    const input = node.inputs[0]!;
    const kept: Kept = {
      input: positions(input),
      output: positions(node.name),
      inputChannels: coupling.atomsOf.get(input)!.length,
    };
    for (const [role, name] of Object.entries(node.params)) {
      const weight = weights.get(name);
      if (!weight) throw new AppError("SHAPE", `prune: weight "${name}" must be given, got none`);
      const isOfChannels = role !== "range";
      pruned.set(name, isOfChannels ? cut(weight, kept.output, role === "weight" ? columnsOf(node, kept) : null) : weight);
    }
    return { ...node, attrs: (REWRITES[node.op] as Rewrite<OpType>)(node, kept) } as Node;
  });
  const smaller: Graph = { ...graph, nodes };
  return { graph: smaller, weights: pruned };
}
