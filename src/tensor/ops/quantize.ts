/** @file Fake quantisation of activations with a clipping range that is learnt. */
import { assertShape } from "../../errors.ts";
import { ARG, clipTo, type PostOp } from "../../onednn/api.ts";
import type { Block } from "../../onednn/memory.ts";
import { type Layout, runtime } from "../../onednn/runtime.ts";
import { toLayout } from "../layout.ts";
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

const ROUND: PostOp = { kind: "eltwise", algorithm: "round", alpha: 0, beta: 0 };

/** What `scaleInto` does besides multiplying, in this order. */
interface Scaling {
  readonly bounds?: ClipBounds;
  readonly isRounded?: boolean;
  /** A second factor at the end. */
  readonly rescale?: Tensor;
}

/** into = a · factor, clipped, rounded to even and multiplied once more as asked: one pass over memory. */
function scaleInto(layout: Layout, a: Block, factor: Tensor, into: Block, { bounds, isRounded = false, rescale }: Scaling): void {
  const engine = runtime();
  const { rows, one } = asRows(layout);
  const postOps: PostOp[] = [
    ...(bounds ? [clipTo(bounds.min, bounds.max)] : []),
    ...(isRounded ? [ROUND] : []),
    ...(rescale ? [{ kind: "binary", algorithm: "mul", b: one.desc } as const] : []),
  ];
  const name = `${bounds ? `${bounds.min} ${bounds.max}` : ""}|${isRounded}|${rescale !== undefined}`;
  const primitive = engine.cached(`scale|${rows.id}|${name}`, () =>
    engine.compile(engine.api.binary("mul", rows.desc, one.desc, rows.desc, engine.api.attributes(postOps)), "a scaling"),
  );
  const second = rescale ? [[engine.api.postOpArg(postOps.length - 1), one, rescale.block] as const] : [];
  engine.execute(primitive, [ARG.src, rows, a], [ARG.src1, one, factor.block], [ARG.dst, rows, into], ...second);
}

/** into = (a − b) · factor. */
function differenceInto(layout: Layout, a: Block, b: Block, factor: Block, into: Block): void {
  const engine = runtime();
  const { desc } = layout;
  const primitive = engine.cached(`difference|${layout.id}`, () =>
    engine.compile(
      engine.api.binary("sub", desc, desc, desc, engine.api.attributes([{ kind: "binary", algorithm: "mul", b: desc }])),
      "sub",
    ),
  );
  engine.execute(
    primitive,
    [ARG.src, layout, a],
    [ARG.src1, layout, b],
    [engine.api.postOpArg(0), layout, factor],
    [ARG.dst, layout, into],
  );
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
  const done = () => {
    free(inverse);
    free(scale);
  };
  if (!tape || !requiresGrad) {
    scaleInto(layout, x.block, inverse, y.block, { bounds, isRounded: true, rescale: scale });
    done();
    return y;
  }
  /** x / s, clipped but not rounded: tells where the gradient passes. */
  const clipped = empty(layout, { shape: x.shape });
  const one = scalar(x, 1);
  scaleInto(layout, x.block, inverse, clipped.block, { bounds });
  scaleInto(layout, clipped.block, one, y.block, { isRounded: true, rescale: scale });
  free(one);
  done();
  tape.record({
    inputs: [x, range],
    output: y,
    saved: [clipped],
    backward: (given) => {
      const dy = toLayout(given, layout);
      const dx = empty(layout, { shape: x.shape });
      clipBackwardInto(layout, clipped.block, dy.block, dx.block, bounds);
      const drange = range.requiresGrad ? empty(plainLayout([1])) : null;
      if (drange) {
        // where x was clipped its code is the bound: 0 where unsigned values end below
        if (attrs.isSigned) {
          const one = scalar(x, 1);
          scaleInto(layout, clipped.block, one, clipped.block, { bounds: { min: -1, max: 1 } });
          free(one);
        }
        const stopped = empty(layout, { shape: x.shape });
        differenceInto(layout, dy.block, dx.block, clipped.block, stopped.block);
        valuesOf(drange)[0] = total(stopped) / (attrs.isSigned ? 1 : bounds.max);
        free(stopped);
      }
      if (dy !== given) free(dy);
      return [dx, drange];
    },
  });
  return y;
}
