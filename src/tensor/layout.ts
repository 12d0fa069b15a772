/** @file Copies between memory layouts. */
import { ARG } from "../onednn/api.ts";
import { type Layout, runtime } from "../onednn/runtime.ts";
import { activationLayout, empty, free, plainLayout, type Tensor, valuesOf } from "./tensor.ts";

function reorderPrimitive(from: Layout, to: Layout) {
  const engine = runtime();
  return engine.cached(`reorder|${from.id}|${to.id}`, () =>
    engine.compile(engine.api.reorder(from.desc, to.desc), `a reorder of [${from.dims}]`),
  );
}

/** Writes `from`, read through `fromLayout`, into `to`, written through `toLayout` (which may describe a part of it). */
export function copy(from: Tensor, to: Tensor, fromLayout: Layout = from.layout, toLayout: Layout = to.layout): void {
  runtime().execute(reorderPrimitive(fromLayout, toLayout), [ARG.src, fromLayout, from.block], [ARG.dst, toLayout, to.block]);
}

/** The same numbers in `layout`; the tensor itself when it has that layout already. */
export function toLayout(tensor: Tensor, layout: Layout): Tensor {
  if (tensor.layout === layout) return tensor;
  const result = empty(layout, { shape: tensor.shape, requiresGrad: tensor.requiresGrad });
  copy(tensor, result);
  return result;
}

export const toPlain = (tensor: Tensor): Tensor => toLayout(tensor, plainLayout(tensor.shape));
export const toActivation = (tensor: Tensor): Tensor => toLayout(tensor, activationLayout(tensor.shape));

/** Row-major copy of the numbers, outside native memory. */
export function toArray(tensor: Tensor): Float32Array {
  const plain = toPlain(tensor);
  const numbers = valuesOf(plain).slice();
  if (plain !== tensor) free(plain);
  return numbers;
}

/** Layout of the box `dims` at `offsets` of a tensor in `layout`, or null when blocks would be cut. */
export function boxLayout(layout: Layout, dims: readonly number[], offsets: readonly number[]): Layout | null {
  const engine = runtime();
  return engine.cached<{ box: Layout | null }>(`box|${layout.id}|${dims}|${offsets}`, () => {
    const desc = engine.api.submemory(layout.desc, dims, offsets);
    return { box: desc === 0 ? null : engine.adopt(desc, dims) };
  }).box;
}
