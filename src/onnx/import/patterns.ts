/** @file Groups of imported nodes that are one operator here, and nodes that nothing reads. */
import { inferShapes } from "../../graph/shapes.ts";
import type { Graph, Model, Node, NodeOf, OpType, Weight } from "../../graph/types.ts";
import { codeBounds } from "../../tensor/ops/quantize.ts";

interface Lookup {
  readonly byName: ReadonlyMap<string, Node>;
  readonly readers: ReadonlyMap<string, number>;
}

const isNear = (a: number, b: number) => Math.abs(a - b) < 1e-5;

function lookup(graph: Graph): Lookup {
  const readers = new Map<string, number>([[graph.output, 1]]);
  for (const node of graph.nodes) for (const name of node.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
  return { byName: new Map(graph.nodes.map((node) => [node.name, node])), readers };
}

/** The node of an operator that made a value for one reader alone. */
function only<K extends OpType>({ byName, readers }: Lookup, name: string | undefined, op: K): NodeOf<K> | null {
  const node = byName.get(name ?? "");
  return node?.op === op && readers.get(node.name) === 1 ? (node as NodeOf<K>) : null;
}

/** x if `gate` is clip(x + 3, 0, 6). */
function shiftedClip(find: Lookup, name: string | undefined): string | null {
  const clip = only(find, name, "clip");
  const sum = clip && isNear(clip.attrs.min, 0) && isNear(clip.attrs.max, 6) ? only(find, clip.inputs[0], "affine") : null;
  return sum && isNear(sum.attrs.scale, 1) && isNear(sum.attrs.shift, 3) ? sum.inputs[0]! : null;
}

const isSixth = (node: NodeOf<"affine"> | null): node is NodeOf<"affine"> =>
  node !== null && isNear(node.attrs.scale, 1 / 6) && isNear(node.attrs.shift, 0);

/** x if the product is x · clip(x + 3, 0, 6). */
function gatedBy(find: Lookup, product: NodeOf<"mul"> | null): string | null {
  for (const [x, gate] of [product?.inputs ?? [], [...(product?.inputs ?? [])].reverse()]) {
    if (x !== undefined && shiftedClip(find, gate) === x) return x;
  }
  return null;
}

/** x if the node computes x · clip(x + 3, 0, 6) / 6, in whichever way it is written. */
function hardSwishInput(node: Node, find: Lookup): string | null {
  if (node.op === "affine" && isSixth(node)) return gatedBy(find, only(find, node.inputs[0], "mul"));
  if (node.op !== "mul") return null;
  for (const [x, gate] of [node.inputs, [...node.inputs].reverse()]) {
    if (only(find, gate, "hardSigmoid")?.inputs[0] === x) return x!;
    const sixth = only(find, gate, "affine");
    if (isSixth(sixth) && shiftedClip(find, sixth.inputs[0]) === x) return x!;
  }
  return null;
}

/** x · hardSigmoid(x) and its spellings become hardSwish. */
function joinHardSwish(graph: Graph): Graph {
  const find = lookup(graph);
  const nodes = graph.nodes.map((node): Node => {
    const x = hardSwishInput(node, find);
    return x === null ? node : { name: node.name, op: "hardSwish", inputs: [x], params: {}, attrs: {} };
  });
  return { ...graph, nodes };
}

/** clip(x + 3, 0, 6) / 6 becomes hardSigmoid. */
function joinHardSigmoid(graph: Graph): Graph {
  const find = lookup(graph);
  const nodes = graph.nodes.map((node): Node => {
    const x = node.op === "affine" && isSixth(node) ? shiftedClip(find, node.inputs[0]) : null;
    return x === null ? node : { name: node.name, op: "hardSigmoid", inputs: [x], params: {}, attrs: {} };
  });
  return { ...graph, nodes };
}

/** scale · (a · x + b) + shift becomes one affine node. */
function joinAffine(graph: Graph): Graph {
  const find = lookup(graph);
  const nodes = graph.nodes.map((node): Node => {
    const inner = node.op === "affine" ? only(find, node.inputs[0], "affine") : null;
    if (node.op !== "affine" || !inner) return node;
    const { scale, shift } = node.attrs;
    return { ...node, inputs: inner.inputs, attrs: { scale: scale * inner.attrs.scale, shift: scale * inner.attrs.shift + shift } };
  });
  return { ...graph, nodes };
}

const isReshape = (node: Node): boolean => node.op === "reshape" || node.op === "flatten";

/** A reshape of a reshape reads what the first one read. */
function joinReshapes(graph: Graph): Graph {
  const sources = new Map<string, string>();
  const nodes = graph.nodes.map((node): Node => {
    if (!isReshape(node)) return node;
    const source = sources.get(node.inputs[0]!) ?? node.inputs[0]!;
    sources.set(node.name, source);
    return { ...node, inputs: [source] } as Node;
  });
  return { ...graph, nodes };
}

/** Leaves out nodes that change nothing, and reshapes that were made before. */
function dropIdentities(graph: Graph): Graph {
  const shapes = inferShapes(graph);
  const reshaped = new Map<string, string>();
  const renamed = new Map<string, string>();
  const replacement = (node: Node, input: string): string | null => {
    if (node.op === "affine") return node.attrs.scale === 1 && node.attrs.shift === 0 ? input : null;
    if (!isReshape(node)) return null;
    const shape = shapes.get(node.name)!.join();
    if (shape === shapes.get(node.inputs[0]!)!.join()) return input;
    const known = reshaped.get(`${input}|${shape}`);
    if (known === undefined) reshaped.set(`${input}|${shape}`, node.name);
    return known ?? null;
  };
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const inputs = node.inputs.map((name) => renamed.get(name) ?? name);
    const other = replacement(node, inputs[0]!);
    if (other === null) return [{ ...node, inputs } as Node];
    renamed.set(node.name, other);
    return [];
  });
  return { ...graph, nodes, output: renamed.get(graph.output) ?? graph.output };
}

/** Zero pixels around the input of one convolution become its padding. */
function joinPadding(graph: Graph): Graph {
  const find = lookup(graph);
  const nodes = graph.nodes.map((node): Node => {
    const pad = node.op === "conv" ? only(find, node.inputs[0], "pad") : null;
    if (node.op !== "conv" || !pad) return node;
    const [a, b] = [node.attrs.padding, pad.attrs.padding];
    const padding = { top: a.top + b.top, left: a.left + b.left, bottom: a.bottom + b.bottom, right: a.right + b.right };
    return { ...node, inputs: pad.inputs, attrs: { ...node.attrs, padding } };
  });
  return { ...graph, nodes };
}

/**
 * Codes of fewer than 8 bits are written as bytes behind a clip to the codes' bounds: both are one node here. Changes the range
 * among `weights`.
 */
function joinNarrowCodes(graph: Graph, weights: Map<string, Weight>): Graph {
  const find = lookup(graph);
  const nodes = graph.nodes.map((node): Node => {
    const clip = node.op === "quantize" && node.attrs.bits === 8 ? only(find, node.inputs[0], "clip") : null;
    if (node.op !== "quantize" || !clip) return node;
    const range = weights.get(node.params.range!)!.data;
    const step = range[0]! / codeBounds(node.attrs).max;
    const bits = [1, 2, 3, 4, 5, 6, 7].find((n) => {
      if (n === 1 && node.attrs.isSigned) return false;
      const { min, max } = codeBounds({ ...node.attrs, bits: n });
      return isNear(clip.attrs.max / step, max) && isNear(clip.attrs.min / step, min);
    });
    if (bits === undefined) return node;
    weights.set(node.params.range!, { shape: [1], data: Float32Array.of(clip.attrs.max) });
    return { ...node, inputs: clip.inputs, attrs: { ...node.attrs, bits } };
  });
  return { ...graph, nodes };
}

/** The graph without nodes that its output does not depend on. */
export function withoutDeadNodes(graph: Graph): Graph {
  const needed = new Set([graph.output]);
  for (const node of graph.nodes.toReversed()) if (needed.has(node.name)) for (const name of node.inputs) needed.add(name);
  return { ...graph, nodes: graph.nodes.filter(({ name }) => needed.has(name)) };
}

/** The same function with fewer nodes. */
export function simplify({ graph, weights }: Model): Model {
  const changed = new Map(weights);
  const steps = [
    withoutDeadNodes,
    joinHardSwish,
    withoutDeadNodes,
    joinHardSigmoid,
    joinAffine,
    joinReshapes,
    dropIdentities,
    joinPadding,
    (current: Graph) => joinNarrowCodes(current, changed),
    withoutDeadNodes,
  ];
  return { graph: steps.reduce((current, step) => step(current), graph), weights: changed };
}
