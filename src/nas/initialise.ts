/**
 * @file How a supernet's candidates begin.
 *
 * With independent initial weights every path computes other features and layers see those of six candidates in turn: after
 * two epochs of CIFAR-10 a sampled path classified 16% of the training images, where one network alone reached 48%. So the warm-up
 * trains the widest path as one network, and all candidates of a block then begin as parts of it: its first channels, the centre
 * of its kernel. From there each has weights of its own, as in the paper. See docs/decisions/supernet-warm-up.md.
 */
import type { ParameterStore } from "../nn/parameters.ts";
import type { Choice } from "../space/architecture.ts";
import type { Supernet } from "../space/graphs.ts";
import { valuesOf } from "../tensor/tensor.ts";

/** Copies the leading rows and columns and the central cells of `from` [O, I, K, K] (or [C]) into the smaller `to`. */
function copyPart(from: Float32Array, fromShape: readonly number[], to: Float32Array, toShape: readonly number[]): void {
  const [, fi = 1, fk = 1] = fromShape;
  const [o = 0, i = 1, k = 1] = toShape;
  const margin = (fk - k) / 2;
  let at = 0;
  for (let a = 0; a < o; a++) {
    for (let b = 0; b < i; b++) {
      for (let r = 0; r < k; r++) for (let c = 0; c < k; c++) to[at++] = from[((a * fi + b) * fk + margin + r) * fk + margin + c]!;
    }
  }
}

/** The choice of every block that contains all others: widest, and of these with the largest kernel. */
export function largestPath(supernet: Supernet): number[] {
  return supernet.blocks.map(({ choices }) => {
    const size = (choice: Choice) => (choice.kind === "zero" ? 0 : choice.expand * 100 + choice.kernel);
    return choices.reduce((best, choice, i) => (size(choice) > size(choices[best]!) ? i : best), 0);
  });
}

/** Makes every candidate a part of its block's largest: weights, scales, shifts and running statistics. */
export function alignCandidates(supernet: Supernet, params: ParameterStore): void {
  for (const [b, largest] of largestPath(supernet).entries()) {
    const { name, choices } = supernet.blocks[b]!;
    const prefix = (choice: Choice) => (choice.kind === "zero" ? "" : `${name}.k${choice.kernel}e${choice.expand}.`);
    const source = prefix(choices[largest]!);
    const suffixes = [...params.specs.keys()].filter((key) => key.startsWith(source)).map((key) => key.slice(source.length));
    for (const choice of choices) {
      if (choice.kind === "zero" || choice === choices[largest]) continue;
      for (const suffix of suffixes) {
        const [from, to] = [source + suffix, prefix(choice) + suffix];
        if (params.specs.has(to))
          copyPart(valuesOf(params.get(from)), params.specs.get(from)!.shape, valuesOf(params.get(to)), params.specs.get(to)!.shape);
      }
    }
  }
}
