/**
 * @file Clips that end where the codes behind them end anyway. ONNX Runtime (1.30) leaves a clip out where it ends beyond the codes, but
 * refuses files in which a convolution's clip ends less than half a step below the highest code of 8 bits, as a ReLU6 does whose learnt
 * range is 6: what it makes of both has two nodes of one name. Such clips are written with bounds twice as far, which changes no code.
 */
import type { FoldedModel } from "../graph/fold.ts";
import type { Node, NodeOf, Weights } from "../graph/types.ts";
import { codeBounds, usedRange } from "../tensor/ops/quantize.ts";

/** Whether the bounds of the clip are rounded to the outermost codes, if not beyond them. */
function isNeedlessBefore({ attrs, params }: NodeOf<"quantize">, { min, max }: NodeOf<"clip">["attrs"], weights: Weights): boolean {
  const codes = codeBounds(attrs);
  const step = usedRange(weights.get(params.range!)!.data) / codes.max;
  return Math.round(min / step) <= codes.min && Math.round(max / step) >= codes.max;
}

/** The same model with the clips loosened whose readers all quantise so; the file is as long as with others. */
export function withLooseClips(model: FoldedModel): FoldedModel {
  const { graph, weights } = model;
  const readers = Map.groupBy(
    graph.nodes.flatMap((node) => node.inputs.map((value) => ({ node, value }))),
    ({ value }) => value,
  );
  const isNeedless = (node: NodeOf<"clip">): boolean =>
    node.name !== graph.output &&
    (readers.get(node.name) ?? []).every(({ node: reader }) => reader.op === "quantize" && isNeedlessBefore(reader, node.attrs, weights));
  const loosened = (node: Node): Node => {
    if (node.op !== "clip" || !isNeedless(node)) return node;
    const { min, max } = node.attrs;
    return { ...node, attrs: { min: min < 0 ? 2 * min : min, max: 2 * max } };
  };
  return { ...model, graph: { ...graph, nodes: graph.nodes.map(loosened) } };
}
