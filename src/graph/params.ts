/** @file Which parameters a graph needs, and of which shape. */
import { AppError } from "../errors.ts";
import { inferShapes } from "./shapes.ts";
import type { Graph, Node, OpType, ParamRole, SampleShape } from "./types.ts";

export interface ParamSpec {
  readonly name: string;
  /** The node that reads it first. */
  readonly node: string;
  readonly role: ParamRole;
  readonly op: OpType;
  readonly shape: readonly number[];
  /** Inputs that one output reads, and outputs that one input reaches (times kernel cells): what initialisers scale by. */
  readonly fanIn: number;
  readonly fanOut: number;
  /** False for running statistics. */
  readonly isTrainable: boolean;
}

/** Shapes of the roles that a node has. */
export function paramShapes(node: Node, input: SampleShape): Partial<Record<ParamRole, readonly number[]>> {
  if (node.op === "conv") {
    const { outChannels, groups, kernel, hasBias } = node.attrs;
    const weight = [outChannels, input[0]! / groups, ...kernel];
    return hasBias ? { weight, bias: [outChannels] } : { weight };
  }
  if (node.op === "linear") {
    const { outFeatures, hasBias } = node.attrs;
    const weight = [outFeatures, input[0]!];
    return hasBias ? { weight, bias: [outFeatures] } : { weight };
  }
  if (node.op === "batchNorm") {
    const shape = [input[0]!];
    return { scale: shape, shift: shape, mean: shape, variance: shape };
  }
  if (node.op === "quantize") return { range: [1] };
  return {};
}

/** Every parameter by name. @throws AppError SHAPE when a role has no name or one name stands for two shapes */
export function paramSpecs(graph: Graph): ReadonlyMap<string, ParamSpec> {
  const shapes = inferShapes(graph);
  const specs = new Map<string, ParamSpec>();
  for (const node of graph.nodes) {
    const wanted = paramShapes(node, shapes.get(node.inputs[0]!)!);
    for (const [role, shape] of Object.entries(wanted) as [ParamRole, readonly number[]][]) {
      const name = node.params[role];
      if (name === undefined) throw new AppError("SHAPE", `graph: ${node.op} "${node.name}" must name its ${role}, got none`);
      const known = specs.get(name);
      if (known && known.shape.join() !== shape.join()) {
        throw new AppError("SHAPE", `graph: "${name}" must have one shape everywhere, got [${known.shape}] and [${shape}]`);
      }
      if (known) continue;
      const cells = (shape[2] ?? 1) * (shape[3] ?? 1);
      const isTrainable = role !== "mean" && role !== "variance";
      const fanOut = (shape[0]! * cells) / (node.op === "conv" ? node.attrs.groups : 1);
      specs.set(name, { name, node: node.name, role, op: node.op, shape, fanIn: (shape[1] ?? 1) * cells, fanOut, isTrainable });
    }
  }
  return specs;
}
