/**
 * @file Keys of ProxylessNAS's latency tables for a graph: `Conv` (stem), `expanded_conv` (an inverted residual), `Conv_1` (the
 * last 1×1 convolution), `Logits` (pooling and classifier). Extents are height x width x channels.
 */
import { inferShapes } from "../graph/shapes.ts";
import type { Graph, NodeOf, SampleShape } from "../graph/types.ts";

const hwc = ([c, h, w]: SampleShape): string => `${h}x${w}x${c}`;
const isPointwise = ({ attrs }: NodeOf<"conv">) => attrs.kernel[0] === 1 && attrs.groups === 1;

/** One key per block, in order. */
export function proxylessKeys(graph: Graph): string[] {
  const shapes = inferShapes(graph);
  const convs = graph.nodes.filter((node) => node.op === "conv");
  const shapeIn = (conv: NodeOf<"conv">) => shapes.get(conv.inputs[0]!)!;
  const isDepthwise = (conv: NodeOf<"conv"> | undefined) =>
    conv !== undefined && conv.attrs.groups > 1 && conv.attrs.groups === shapeIn(conv)[0];
  const sums = graph.nodes.filter((node) => node.op === "add");
  const normOf = new Map(graph.nodes.filter((node) => node.op === "batchNorm").map((node) => [node.inputs[0]!, node.name]));
  const keys: string[] = [];
  for (let i = 0; i < convs.length; i++) {
    const conv = convs[i]!;
    const isExpanding = isPointwise(conv) && isDepthwise(convs[i + 1]);
    const depthwise = isExpanding ? convs[i + 1]! : conv;
    if (isDepthwise(depthwise)) {
      const project = convs[isExpanding ? i + 2 : i + 1]!;
      i += isExpanding ? 2 : 1;
      const expand = shapeIn(depthwise)[0]! / shapeIn(conv)[0]!;
      const result = normOf.get(project.name) ?? project.name;
      const hasShortcut = sums.some(({ inputs }) => inputs.includes(result) && inputs.includes(conv.inputs[0]!));
      const { kernel, stride } = depthwise.attrs;
      keys.push(
        `expanded_conv-input:${hwc(shapeIn(conv))}-output:${hwc(shapes.get(project.name)!)}-expand:${expand}-kernel:${kernel[0]}-stride:${stride[0]}-idskip:${hasShortcut ? 1 : 0}`,
      );
    } else keys.push(`${isPointwise(conv) ? "Conv_1" : "Conv"}-input:${hwc(shapeIn(conv))}-output:${hwc(shapes.get(conv.name)!)}`);
  }
  for (const node of graph.nodes) {
    if (node.op !== "linear") continue;
    const last = convs.at(-1)!;
    keys.push(`Logits-input:${hwc(shapes.get(last.name)!)}-output:${node.attrs.outFeatures}`);
  }
  return keys;
}
