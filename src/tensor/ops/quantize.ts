/** @file Fake quantisation of activations with a clipping range that is learnt. */
import { assertShape } from "../../errors.ts";
import { ARG } from "../../onednn/api.ts";
import type { Block } from "../../onednn/memory.ts";
import { type Layout, runtime } from "../../onednn/runtime.ts";
import { copy } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { describe, empty, free, plainLayout, type Tensor, valuesInMemory, valuesOf } from "../tensor.ts";
import { type ClipBounds, clipBackwardInto } from "./clip-kernel.ts";
import { globalAveragePool } from "./pooling.ts";

export interface QuantizeAttrs {
  /** 1…8; at least 2 for signed values. */
  readonly bits: number;
  /** Codes below 0 as well, for values that do not come from a ReLU ("full wave"). */
  readonly isSigned: boolean;
}

/** Lowest and highest code: 0 … 2^b − 1, or −2^(b−1) … 2^(b−1) − 1. */
export function codeBounds({ bits, isSigned }: QuantizeAttrs): ClipBounds {
  return isSigned ? { min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 } : { min: 0, max: 2 ** bits - 1 };
}

/** Ranges that learning drives to 0 or below stay this wide. */
const NARROWEST = 1e-4;
/** The clipping range c as it is used. */
export const usedRange = (range: ArrayLike<number>): number => Math.max(NARROWEST, range[0]!);

/** into = a · factor, clipped to `bounds`. */
function scaleInto(layout: Layout, a: Block, factor: Tensor, into: Block, bounds: ClipBounds | null): void {
  const engine = runtime();
  const { rows, one } = asRows(layout);
  const name = bounds ? `${bounds.min} ${bounds.max}` : "";
  const primitive = engine.cached(`scale|${rows.id}|${name}`, () => {
    const attributes = bounds ? engine.api.clipAttributes(bounds.min, bounds.max) : 0;
    return engine.compile(engine.api.binary("mul", rows.desc, one.desc, rows.desc, attributes), "a scaling");
  });
  engine.execute(primitive, [ARG.src, rows, a], [ARG.src1, one, factor.block], [ARG.dst, rows, into]);
}

function roundInto(layout: Layout, x: Block, into: Block): void {
  const engine = runtime();
  const primitive = engine.cached(`round|${layout.id}`, () =>
    engine.compile(engine.api.eltwiseForward("round", layout.desc, 0, 0), "rounding"),
  );
  engine.execute(primitive, [ARG.src, layout, x], [ARG.dst, layout, into]);
}

function combineInto(algorithm: "mul" | "sub", layout: Layout, a: Block, b: Block, into: Block): void {
  const engine = runtime();
  const primitive = engine.cached(`combine|${algorithm}|${layout.id}`, () =>
    engine.compile(engine.api.binary(algorithm, layout.desc, layout.desc, layout.desc), algorithm),
  );
  engine.execute(primitive, [ARG.src, layout, a], [ARG.src1, layout, b], [ARG.dst, layout, into]);
}

/**
 * Memory of a layout as rows of one register: what is done to every number alike need not know its place. In the blocked layout itself
 * oneDNN multiplies by a single number with reference code, a thousand times slower.
 */
export function asRows(layout: Layout): { readonly rows: Layout; readonly one: Layout } {
  const { channelBlock } = runtime();
  const numbers = layout.bytes / 4;
  const width = numbers % channelBlock === 0 ? channelBlock : 1;
  const rows = layout.isPlain ? layout : runtime().layout([numbers / width, width], "ab");
  return { rows, one: plainLayout(rows.dims.map(() => 1)) };
}

/** One number in the shape that spreads over x. */
function scalar({ layout }: Tensor, value: number): Tensor {
  const tensor = empty(asRows(layout).one);
  valuesOf(tensor)[0] = value;
  return tensor;
}

function total(x: Tensor): number {
  if (x.shape.length !== 4) return valuesInMemory(x).reduce((sum, v) => sum + v, 0);
  const pooled = globalAveragePool(null, x);
  const sum = valuesInMemory(pooled).reduce((all, v) => all + v, 0) * x.shape[2]! * x.shape[3]!;
  free(pooled);
  return sum;
}

/**
 * y = s · round(clip(x / s, lowest code, highest code)), s = c / highest code.
 *
 * Straight-through: dx = dy where x / s lies strictly between the codes' bounds, else 0. Learned clip: dc = Σ dy where x is
 * clipped from above, − Σ dy where from below (signed only).
 *
 * @param x     [N, C, H, W] or [N, F]
 * @param range [1] the clipping range c, in units of x
 * @throws AppError SHAPE for another range
 * Papers: Choi et al. 2018 (PACT), arXiv:1805.06085, eq. 1 to 3; Wang et al. 2019 (HAQ), arXiv:1811.08886, eq. 4.
 * Deviation: signed codes use the whole two's complement, as hardware and ONNX do, one more below 0 than above.
 */
export function quantize(tape: Tape | null, x: Tensor, range: Tensor, attrs: QuantizeAttrs): Tensor {
  assertShape(range.shape.length === 1 && range.shape[0] === 1, () => `quantize: range must be f32[1], got ${describe(range)}`);
  const { layout } = x;
  const bounds = codeBounds(attrs);
  const step = usedRange(valuesOf(range)) / bounds.max;
  const requiresGrad = tape !== null && (x.requiresGrad || range.requiresGrad);
  const [inverse, scale] = [scalar(x, 1 / step), scalar(x, step)];
  const y = empty(layout, { shape: x.shape, requiresGrad });
  /** x / s, clipped but not rounded: tells where the gradient passes. */
  const clipped = requiresGrad ? empty(layout, { shape: x.shape }) : y;
  scaleInto(layout, x.block, inverse, clipped.block, bounds);
  roundInto(layout, clipped.block, y.block);
  scaleInto(layout, y.block, scale, y.block, null);
  free(inverse);
  free(scale);
  if (!tape || !requiresGrad) return y;
  tape.record({
    inputs: [x, range],
    output: y,
    saved: [clipped],
    backward: (dy) => {
      const dx = empty(layout, { shape: x.shape });
      copy(dy, dx);
      clipBackwardInto(layout, clipped.block, dx.block, bounds);
      if (!range.requiresGrad) return [dx, null];
      const one = scalar(x, 1);
      const stopped = empty(layout, { shape: x.shape });
      combineInto("sub", layout, dy.block, dx.block, stopped.block);
      // ±1 where x was clipped, 0 at the lower bound of unsigned values
      scaleInto(layout, clipped.block, one, clipped.block, { min: attrs.isSigned ? -1 : 0, max: 1 });
      combineInto("mul", layout, stopped.block, clipped.block, stopped.block);
      free(one);
      const drange = empty(plainLayout([1]));
      valuesOf(drange)[0] = total(stopped);
      free(stopped);
      return [dx, drange];
    },
  });
  return y;
}
