/**
 * @file Which channels of a graph stand and fall together. Every channel of every value belongs to an atom: the smallest set of
 * channels that can only be removed at once (a residual sum ties those of its two terms, a depthwise convolution its input's to its
 * output's, …). Works per channel, so that concatenation, splits and shuffles need no special treatment later.
 */

import { isDepthwise } from "../graph/layers.ts";
import { inferShapes } from "../graph/shapes.ts";
import type { Graph, Node, NodeOf, OpType, SampleShape } from "../graph/types.ts";

export interface Coupling {
  /** Atom of each channel ([C, H, W]) or feature ([F]) of every value by name. */
  readonly atomsOf: ReadonlyMap<string, Int32Array>;
  /** Atoms that must stay, with the reason. */
  readonly frozen: ReadonlyMap<number, string>;
}

/** Sets that only grow together. */
function createUnion() {
  const parent: number[] = [];
  const find = (id: number): number => {
    let root = id;
    while (parent[root] !== root) root = parent[root]!;
    for (let at = id; at !== root; ) [at, parent[at]] = [parent[at]!, root];
    return root;
  };
  return {
    fresh: (count: number): Int32Array => Int32Array.from({ length: count }, () => parent.push(parent.length) - 1),
    find,
    join: (a: number, b: number) => {
      const [first, second] = [find(a), find(b)].sort((x, y) => x - y) as [number, number];
      parent[second] = first;
    },
  };
}

interface Tracing {
  readonly union: ReturnType<typeof createUnion>;
  readonly shape: (value: string) => SampleShape;
  freeze(ids: Int32Array, reason: string): Int32Array;
  /** Ties position j of each of `groups` equal parts. */
  tieGroups(ids: Int32Array, groups: number): void;
}
type Rule<K extends OpType> = (node: NodeOf<K>, inputs: readonly Int32Array[], tracing: Tracing) => Int32Array;

const same: Rule<OpType> = (_, [x]) => x!;

const together: Rule<"add" | "mul"> = (_, [a, b], { union }) => {
  for (const [i, id] of a!.entries()) union.join(id, b![i]!);
  return a!;
};

const conv: Rule<"conv"> = (node, [x], { union, tieGroups }) => {
  const { outChannels, groups } = node.attrs;
  const channels = x!.length;
  if (isDepthwise(node, channels)) return Int32Array.from({ length: outChannels }, (_, o) => x![Math.floor((o * channels) / outChannels)]!);
  const out = union.fresh(outChannels);
  if (groups > 1) {
    tieGroups(x!, groups);
    tieGroups(out, groups);
  }
  return out;
};

const count = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

const reshape: Rule<"reshape"> = (node, [x], { union, shape, freeze }) => {
  const before = shape(node.inputs[0]!);
  const after = node.attrs.shape;
  if (count(before.slice(1)) === count(after.slice(1))) return x!;
  freeze(x!, `the reshape "${node.name}" mixes channels and pixels`);
  return freeze(union.fresh(after[0]!), `the reshape "${node.name}" mixes channels and pixels`);
};

const RULES: { readonly [K in OpType]: Rule<K> } = {
  conv,
  batchNorm: same,
  relu: same,
  clip: same,
  leakyRelu: same,
  hardSwish: same,
  sigmoid: same,
  hardSigmoid: same,
  affine: same,
  add: together,
  mul: together,
  concat: (_, inputs) => Int32Array.from(inputs.flatMap((ids) => [...ids])),
  maxPool: same,
  averagePool: same,
  globalAveragePool: same,
  padChannels: (node, [x], { union }) => Int32Array.from([...x!, ...union.fresh(node.attrs.after)]),
  pad: same,
  quantize: same,
  sliceChannels: (node, [x]) => x!.slice(node.attrs.start, node.attrs.start + node.attrs.count),
  channelShuffle: (node, [x], { tieGroups }) => {
    const { groups } = node.attrs;
    tieGroups(x!, groups);
    return Int32Array.from(x!, (_, i) => x![(i % groups) * (x!.length / groups) + Math.floor(i / groups)]!);
  },
  lrn: (node, [x], { freeze }) => freeze(x!, `the normalisation "${node.name}" reads neighbouring channels`),
  linear: (node, _, { union }) => union.fresh(node.attrs.outFeatures),
  flatten: (node, [x], { shape }) => {
    const pixels = count(shape(node.inputs[0]!).slice(1));
    return Int32Array.from({ length: x!.length * pixels }, (_, i) => x![Math.floor(i / pixels)]!);
  },
  reshape,
  softmax: (node, [x], { freeze }) => freeze(x!, `the probabilities of "${node.name}" depend on all classes`),
  dropout: same,
  opaque: (node, inputs, { union, freeze }) => {
    const reason = `${node.attrs.opType} "${node.name}" is an operator that Fettle does not know`;
    for (const ids of inputs) freeze(ids, reason);
    return freeze(union.fresh(node.attrs.shape[0] ?? 1), reason);
  },
};

/** Traces channels from the input to the output. @throws AppError SHAPE when the graph is not valid */
export function traceChannels(graph: Graph): Coupling {
  const shapes = inferShapes(graph);
  const union = createUnion();
  const reasons: [Int32Array, string][] = [];
  const tracing: Tracing = {
    union,
    shape: (value) => shapes.get(value)!,
    freeze: (ids, reason) => {
      reasons.push([ids, reason]);
      return ids;
    },
    tieGroups: (ids, groups) => {
      const size = ids.length / groups;
      for (let i = size; i < ids.length; i++) union.join(ids[i % size]!, ids[i]!);
    },
  };
  const ids = new Map<string, Int32Array>();
  ids.set(graph.input.name, tracing.freeze(union.fresh(graph.input.shape[0]!), "the input image"));
  const sharing = new Map<string, Node>();
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => ids.get(name)!);
    const out = (RULES[node.op] as Rule<OpType>)(node, inputs, tracing);
    ids.set(node.name, out);
    const twin = sharing.get(node.params.weight ?? "");
    if (twin) {
      for (const [i, id] of ids.get(twin.name)!.entries()) union.join(id, out[i]!);
      for (const [i, id] of ids.get(twin.inputs[0]!)!.entries()) union.join(id, inputs[0]![i]!);
    } else if (node.params.weight !== undefined) sharing.set(node.params.weight, node);
  }
  tracing.freeze(ids.get(graph.output)!, "the output");
  const frozen = new Map<number, string>();
  for (const [list, reason] of reasons) for (const id of list) if (!frozen.has(union.find(id))) frozen.set(union.find(id), reason);
  return { atomsOf: new Map([...ids].map(([name, list]) => [name, list.map((id) => union.find(id))])), frozen };
}
