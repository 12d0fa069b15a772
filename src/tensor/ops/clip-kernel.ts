/** @file clip(x, low, high) over a block of memory, for ops that clip a part of a batch while it is in cache. */
import { ARG } from "../../onednn/api.ts";
import type { Block } from "../../onednn/memory.ts";
import { type Layout, runtime } from "../../onednn/runtime.ts";

export interface ClipBounds {
  readonly min: number;
  readonly max: number;
}

/** A clip that a convolution applies to its input, unless the op before has: its gradient is the convolution's in either case. */
export interface InputClip extends ClipBounds {
  readonly isDone: boolean;
}

function kernels(layout: Layout, { min, max }: ClipBounds) {
  const engine = runtime();
  return engine.cached(`clip|${layout.id}|${min}|${max}`, () => {
    const forward = engine.compile(engine.api.eltwiseForward("clip", layout.desc, min, max), "clip");
    const descriptor = engine.api.eltwiseBackward("clip", layout.desc, layout.desc, min, max, forward.descriptor);
    return { forward, backward: engine.compile(descriptor, "the gradient of clip") };
  });
}

/** x ← clip(x). */
export function clipInto(layout: Layout, x: Block, bounds: ClipBounds): void {
  runtime().execute(kernels(layout, bounds).forward, [ARG.src, layout, x], [ARG.dst, layout, x]);
}

/** dx ← dy where the clipped value y lies strictly between the bounds, 0 elsewhere. `dy` may be `dx`. */
export function clipBackwardInto(layout: Layout, y: Block, dy: Block, dx: Block, bounds: ClipBounds): void {
  runtime().execute(kernels(layout, bounds).backward, [ARG.dst, layout, y], [ARG.diffDst, layout, dy], [ARG.diffSrc, layout, dx]);
}
