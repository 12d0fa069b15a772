/** @file Shape inference: the shape of every value of a graph, batch axis left out. */
import { AppError } from "../errors.ts";
import type { Graph, Node, OpAttrs, OpType, Padding, Pair, SampleShape } from "./types.ts";

type ShapeRule<K extends OpType> = (attrs: OpAttrs[K], inputs: readonly SampleShape[], where: string) => SampleShape;

const text = (shape: SampleShape | undefined) => `[${shape?.join(",") ?? ""}]`;

function fail(where: string, must: string, inputs: readonly SampleShape[]): never {
  throw new AppError("SHAPE", `${where}: ${must}, got ${inputs.map(text).join(" and ") || "no input"}`);
}

function image(inputs: readonly SampleShape[], where: string): readonly [number, number, number] {
  const [x] = inputs;
  if (x?.length !== 3) fail(where, "the input must be an image [C,H,W]", inputs);
  return x as unknown as readonly [number, number, number];
}

function features(inputs: readonly SampleShape[], where: string): number {
  const [x] = inputs;
  if (x?.length !== 1) fail(where, "the input must be a vector [F]", inputs);
  return x![0]!;
}

function windowed(
  [, h, w]: readonly [number, number, number],
  kernel: Pair,
  stride: Pair,
  padding: Padding,
  dilation: Pair,
  where: string,
): Pair {
  const axis = (size: number, pads: number, i: 0 | 1) => Math.floor((size + pads - dilation[i] * (kernel[i] - 1) - 1) / stride[i]) + 1;
  const out: Pair = [axis(h, padding.top + padding.bottom, 0), axis(w, padding.left + padding.right, 1)];
  if (out[0] < 1 || out[1] < 1)
    throw new AppError("SHAPE", `${where}: the ${kernel[0]}×${kernel[1]} window must fit into the padded input, got ${h}×${w}`);
  return out;
}

const same = (_: unknown, inputs: readonly SampleShape[], where: string): SampleShape =>
  inputs[0] ?? fail(where, "there must be an input", inputs);

function pooled(attrs: OpAttrs["maxPool"], inputs: readonly SampleShape[], where: string): SampleShape {
  const x = image(inputs, where);
  return [x[0], ...windowed(x, attrs.kernel, attrs.stride, attrs.padding, [1, 1], where)];
}

const outputShape: { [K in OpType]: ShapeRule<K> } = {
  conv: (attrs, inputs, where) => {
    const x = image(inputs, where);
    if (x[0] % attrs.groups !== 0 || attrs.outChannels % attrs.groups !== 0) {
      fail(where, `channels in and out (${attrs.outChannels}) must be multiples of its ${attrs.groups} groups`, inputs);
    }
    return [attrs.outChannels, ...windowed(x, attrs.kernel, attrs.stride, attrs.padding, attrs.dilation, where)];
  },
  batchNorm: (_, inputs, where) => image(inputs, where),
  relu: same,
  clip: same,
  leakyRelu: same,
  hardSwish: same,
  sigmoid: same,
  hardSigmoid: same,
  affine: same,
  add: (_, inputs, where) => {
    if (inputs.length !== 2 || text(inputs[0]) !== text(inputs[1])) fail(where, "both inputs must have one shape", inputs);
    return inputs[0]!;
  },
  mul: (_, inputs, where) => {
    const [a, b] = inputs;
    const isSpread = a?.length === 3 && text(b) === text([a[0]!, 1, 1]);
    if (inputs.length !== 2 || (text(a) !== text(b) && !isSpread))
      fail(where, "the second input must have the first's shape or [C,1,1]", inputs);
    return a!;
  },
  concat: (_, inputs, where) => {
    const [, h, w] = image(inputs, where);
    if (inputs.some((x) => x.length !== 3 || x[1] !== h || x[2] !== w))
      fail(where, "all inputs must have the same height and width", inputs);
    return [inputs.reduce((sum, x) => sum + x[0]!, 0), h, w];
  },
  maxPool: pooled,
  averagePool: pooled,
  globalAveragePool: (_, inputs, where) => [image(inputs, where)[0], 1, 1],
  padChannels: (attrs, inputs, where) => {
    const [c, h, w] = image(inputs, where);
    return [c + attrs.after, h, w];
  },
  pad: ({ padding: { top, left, bottom, right } }, inputs, where) => {
    const [c, h, w] = image(inputs, where);
    return [c, h + top + bottom, w + left + right];
  },
  sliceChannels: ({ start, count }, inputs, where) => {
    const [c, h, w] = image(inputs, where);
    if (start < 0 || count < 1 || start + count > c) fail(where, `channels ${start} to ${start + count - 1} must be in the input`, inputs);
    return [count, h, w];
  },
  channelShuffle: ({ groups }, inputs, where) => {
    const x = image(inputs, where);
    if (x[0] % groups !== 0) fail(where, `the channels must be a multiple of its ${groups} groups`, inputs);
    return x;
  },
  lrn: (_, inputs, where) => image(inputs, where),
  linear: (attrs, inputs, where) => {
    features(inputs, where);
    return [attrs.outFeatures];
  },
  flatten: (_, inputs, where) => [same(_, inputs, where).reduce((product, n) => product * n, 1)],
  reshape: (attrs, inputs, where) => {
    const count = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);
    if (count(attrs.shape) !== count(same(attrs, inputs, where)))
      fail(where, `the shape ${text(attrs.shape)} must have as many elements as the input`, inputs);
    return attrs.shape;
  },
  softmax: (_, inputs, where) => [features(inputs, where)],
  dropout: same,
  quantize: same,
  opaque: (attrs) => attrs.shape,
};

/** Shape of one node's value. @throws AppError SHAPE naming the node */
export function shapeOf(node: Node, inputs: readonly SampleShape[]): SampleShape {
  return (outputShape[node.op] as ShapeRule<OpType>)(node.attrs, inputs, `graph: ${node.op} "${node.name}"`);
}

/** Shape of every value by name, the graph's input included. @throws AppError SHAPE naming the node that does not fit */
export function inferShapes(graph: Graph): ReadonlyMap<string, SampleShape> {
  const shapes = new Map<string, SampleShape>([[graph.input.name, graph.input.shape]]);
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((name) => {
      const shape = shapes.get(name);
      if (!shape) throw new AppError("SHAPE", `graph: ${node.op} "${node.name}" must read a value made before it, got "${name}"`);
      return shape;
    });
    shapes.set(node.name, shapeOf(node, inputs));
  }
  return shapes;
}
