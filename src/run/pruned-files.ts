/** @file What a pruned network is kept as: the ONNX file with its card, and the policy. */
import { peakActivationBytes } from "../graph/counts.ts";
import { withEndingOf } from "../graph/ending.ts";
import type { Prunable } from "../prune/environment.ts";
import type { Card, Constraint } from "./card.ts";
import { deploy } from "./deploy.ts";
import type { Network } from "./finalists.ts";
import type { RunFolder } from "./folder.ts";
import { constraintOf } from "./limit-kinds.ts";
import type { PruneOptions } from "./prepare-pruning.ts";
import { isOfFile, type PruneLimit } from "./prune-limits.ts";

/** policy.json: shares and counts per group, and the input channels of every layer in AMC's own list form. */
export function writePolicy(
  folder: RunFolder,
  { layers, groups }: Prunable,
  kept: readonly number[],
  facts: Readonly<Record<string, unknown>>,
): void {
  const widths = layers.filter(({ isDepthwise }) => !isDepthwise);
  const amc = widths.map(({ widthIn }) =>
    widthIn.perAtom.reduce((sum, { group, channels }) => sum + channels * kept[group]!, widthIn.fixed),
  );
  const named = groups.map(({ name, producers, consumers, atoms }, g) => ({
    name,
    producers,
    consumers,
    channels: atoms.length,
    kept: kept[g]!,
    share: kept[g]! / atoms.length,
  }));
  folder.writeJson("policy.json", { ...facts, groups: named, amc });
}

/** Writes model.onnx with the interface of the original (probabilities, channels last) and its card. */
export function deployPruned(
  options: PruneOptions,
  { graph, params }: Network,
  { folder, limits, kept }: { readonly folder: RunFolder; readonly limits: readonly PruneLimit[]; readonly kept: readonly number[] },
): Promise<Card> {
  const restored = withEndingOf(options.model.graph, graph);
  const constraints = ({ latency, fileBytes }: { latency: { p50Ms: number }; fileBytes: number }): Constraint[] =>
    limits.map(({ kind, limit, cost }) => {
      const isMeasured = isOfFile(kind, options);
      const counted = kind === "peakMemory" ? peakActivationBytes(restored) : cost(kept);
      const value = !isMeasured ? counted : kind === "size" ? fileBytes : latency.p50Ms;
      const obtained = isMeasured ? "measured" : kind === "latency" || kind === "energy" ? "estimated" : "counted";
      return constraintOf(kind, limit, value, obtained);
    });
  const { data, threads, recipe } = options;
  return deploy({ graph: restored, params, data, folder, seed: recipe.seed, threads, constraints });
}
