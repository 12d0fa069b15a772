/** @file Nodes of imported files that Fettle counts but cannot compute. */
import { AppError } from "../errors.ts";
import type { Graph } from "./types.ts";

export interface OpaqueNode {
  readonly name: string;
  readonly opType: string;
  /** Why it cannot be computed. */
  readonly reason: string;
}

export function opaqueNodes(graph: Graph): OpaqueNode[] {
  return graph.nodes.flatMap((node) =>
    node.op === "opaque" ? [{ name: node.name, opType: node.attrs.opType, reason: node.attrs.reason }] : [],
  );
}

/** @throws AppError ONNX naming the first node that Fettle cannot compute */
export function requireComputable(graph: Graph, path: string): void {
  const [first, ...rest] = opaqueNodes(graph);
  if (!first) return;
  const others = rest.length > 0 ? ` and ${rest.length} more` : "";
  throw new AppError(
    "ONNX",
    `onnx: every node of ${path} must be one that Fettle can compute, got ${first.opType} "${first.name}"${others}: ${first.reason} — \`fettle inspect\` lists them all`,
  );
}
