/** @file What every graph must satisfy; rewrites are checked against it in tests. */
import { AppError } from "../errors.ts";
import { paramSpecs } from "./params.ts";
import type { Graph } from "./types.ts";

/** @throws AppError SHAPE when names repeat, inputs are missing or late, shapes or parameters do not fit */
export function validate(graph: Graph): void {
  const names = new Set([graph.input.name]);
  for (const node of graph.nodes) {
    if (names.has(node.name)) throw new AppError("SHAPE", `graph ${graph.name}: names must be unique, got "${node.name}" twice`);
    names.add(node.name);
  }
  if (!names.has(graph.output)) throw new AppError("SHAPE", `graph ${graph.name}: the output must be a node, got "${graph.output}"`);
  paramSpecs(graph);
}
