/** @file Ops that combine feature maps: sum, product, concatenation, zero channels. */
import { assertShape } from "../../errors.ts";
import { ARG, type BinaryAlgorithm } from "../../onednn/api.ts";
import { type Layout, runtime } from "../../onednn/runtime.ts";
import { boxLayout, copy, toActivation, toLayout, toPlain } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { activationLayout, describe, empty, free, plainLayout, type Tensor, valuesOf } from "../tensor.ts";
import { affine } from "./activation.ts";
import { globalAveragePool } from "./pooling.ts";

const sameShape = (a: Tensor, b: Tensor) => a.shape.length === b.shape.length && a.shape.every((n, i) => n === b.shape[i]);

/** @param as layouts to read `a` with the result, and `b`, in, of as many bytes as their own */
function binary(
  algorithm: BinaryAlgorithm,
  a: Tensor,
  b: Tensor,
  as: { readonly a: Layout; readonly b: Layout } = { a: a.layout, b: b.layout },
) {
  const engine = runtime();
  const y = empty(a.layout, { shape: a.shape });
  const primitive = engine.cached(`binary|${algorithm}|${as.a.id}|${as.b.id}`, () =>
    engine.compile(engine.api.binary(algorithm, as.a.desc, as.b.desc, as.a.desc), `${algorithm} of ${describe(a)} and ${describe(b)}`),
  );
  engine.execute(primitive, [ARG.src, as.a, a.block], [ARG.src1, as.b, b.block], [ARG.dst, as.a, y.block]);
  return y;
}

/**
 * a · b with b [N, C, 1, 1] spread over H×W: both read as one image of N·C channels, since oneDNN has kernels for a factor per channel but
 * only its reference code, a hundred times slower, for one per image and channel.
 */
function spreadProduct(a: Tensor, b: Tensor): Tensor {
  const [n, c, h, w] = a.shape as [number, number, number, number];
  const { channelBlock } = runtime();
  const [layoutOf, channels] = a.layout.isPlain
    ? ([plainLayout, n * c] as const)
    : ([activationLayout, n * channelBlock * Math.ceil(c / channelBlock)] as const);
  const whole = toLayout(a, layoutOf(a.shape));
  const factor = toLayout(b, layoutOf(b.shape));
  const y = binary("mul", whole, factor, { a: layoutOf([1, channels, h, w]), b: layoutOf([1, channels, 1, 1]) });
  if (whole !== a) free(whole);
  if (factor !== b) free(factor);
  return y;
}

const withGrad = (tensor: Tensor, requiresGrad: boolean): Tensor => Object.assign(tensor, { requiresGrad });

/** a + b. Shapes must be equal. @throws AppError SHAPE */
export function add(tape: Tape | null, a: Tensor, b: Tensor): Tensor {
  assertShape(sameShape(a, b), () => `add: shapes must be equal, got ${describe(a)} and ${describe(b)}`);
  const other = toLayout(b, a.layout);
  const y = withGrad(binary("add", a, other), tape !== null && (a.requiresGrad || b.requiresGrad));
  if (other !== b) free(other);
  if (tape && y.requiresGrad) {
    tape.record({ inputs: [a, b], output: y, saved: [], backward: (dy) => [a.requiresGrad ? dy : null, b.requiresGrad ? dy : null] });
  }
  return y;
}

/**
 * a · b for equal shapes, or with b [N, C, 1, 1] spread over H×W (squeeze-and-excitation).
 * da = dy·b, db = dy·a (summed over H×W when b was spread). @throws AppError SHAPE
 */
export function mul(tape: Tape | null, a: Tensor, b: Tensor): Tensor {
  const isSpread = !sameShape(a, b);
  assertShape(
    !isSpread ||
      (b.shape.length === 4 &&
        a.shape.length === 4 &&
        b.shape[0] === a.shape[0] &&
        b.shape[1] === a.shape[1] &&
        b.shape[2] === 1 &&
        b.shape[3] === 1),
    () => `mul: the second factor must be ${describe(a)} or [N,C,1,1] of it, got ${describe(b)}`,
  );
  const product = isSpread ? spreadProduct : (x: Tensor, factor: Tensor) => binary("mul", x, factor);
  const y = withGrad(product(a, b), tape !== null && (a.requiresGrad || b.requiresGrad));
  if (tape && y.requiresGrad) {
    tape.record({
      inputs: [a, b],
      output: y,
      saved: [],
      backward: (dy) => [a.requiresGrad ? product(dy, b) : null, b.requiresGrad ? factorGradient(dy, a, isSpread) : null],
    });
  }
  return y;
}

function factorGradient(dy: Tensor, a: Tensor, isSpread: boolean): Tensor {
  const product = binary("mul", dy, a);
  if (!isSpread) return product;
  const mean = globalAveragePool(null, product);
  free(product);
  const total = affine(null, mean, a.shape[2]! * a.shape[3]!, 0);
  free(mean);
  return total;
}

/** Copies a box of channels; through the plain layout when the box would cut a block of channels. */
export function copyChannels(from: Tensor, fromFirst: number, to: Tensor, toFirst: number, count: number): void {
  const box = (layout: Layout, first: number) => {
    const dims = [layout.dims[0]!, count, layout.dims[2]!, layout.dims[3]!];
    return boxLayout(layout, dims, [0, first, 0, 0]);
  };
  const fromBox = box(from.layout, fromFirst);
  const toBox = box(to.layout, toFirst);
  assertShape(fromBox !== null && toBox !== null, () => `channels: the box must fit the layout, got ${count} of ${describe(from)}`);
  copy(from, to, fromBox as Layout, toBox as Layout);
}

/** Layout in which channel counts may be cut: blocked if all are whole blocks, else plain. */
export function cuttableLayout(shape: readonly number[], counts: readonly number[]): Layout {
  const { channelBlock } = runtime();
  return counts.every((count) => count % channelBlock === 0) ? activationLayout(shape) : plainLayout(shape);
}

/** Concatenation along channels. Batch and extents must be equal. @throws AppError SHAPE */
export function concat(tape: Tape | null, inputs: readonly Tensor[]): Tensor {
  const [first] = inputs;
  assertShape(first !== undefined, () => "concat: there must be at least one input, got none");
  const [n, , h, w] = first.shape as [number, number, number, number];
  for (const x of inputs) {
    assertShape(
      x.shape.length === 4 && x.shape[0] === n && x.shape[2] === h && x.shape[3] === w,
      () => `concat: batch and extents must equal ${describe(first)}'s, got ${describe(x)}`,
    );
  }
  const counts = inputs.map((x) => x.shape[1]!);
  const shape = [n, counts.reduce((sum, c) => sum + c, 0), h, w];
  const layoutOf = (s: readonly number[]) => cuttableLayout(s, counts);
  const joined = empty(layoutOf(shape));
  let at = 0;
  for (const x of inputs) {
    const part = toLayout(x, layoutOf(x.shape));
    copyChannels(part, 0, joined, at, x.shape[1]!);
    if (part !== x) free(part);
    at += x.shape[1]!;
  }
  const y = withGrad(toActivation(joined), tape !== null && inputs.some((x) => x.requiresGrad));
  if (y !== joined) free(joined);
  if (tape && y.requiresGrad) {
    tape.record({
      inputs,
      output: y,
      saved: [],
      backward: (dy) => {
        const cut = toLayout(dy, layoutOf(shape));
        let from = 0;
        const parts = inputs.map((x) => {
          const first = from;
          from += x.shape[1]!;
          if (!x.requiresGrad) return null;
          const dx = empty(layoutOf(x.shape));
          copyChannels(cut, first, dx, 0, x.shape[1]!);
          return dx;
        });
        if (cut !== dy) free(cut);
        return parts;
      },
    });
  }
  return y;
}

/** Appends `after` channels of zeros: [N, C, H, W] → [N, C + after, H, W]. */
export function padChannels(tape: Tape | null, x: Tensor, after: number): Tensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const zeros = empty(plainLayout([n, after, h, w]));
  valuesOf(zeros).fill(0);
  const y = concat(tape, [x, zeros]);
  if (!tape || !y.requiresGrad) free(zeros);
  assertShape(y.shape[1] === c + after, () => `padChannels: got ${describe(y)}`);
  return y;
}

/** Row-major copy with a graph: identity forward, used where a plain layout must be read. */
export function plain(tape: Tape | null, x: Tensor): Tensor {
  const y = toPlain(x);
  if (y === x) return x;
  const result = withGrad(y, tape !== null && x.requiresGrad);
  if (tape && result.requiresGrad) tape.record({ inputs: [x], output: result, saved: [], backward: (dy) => [dy] });
  return result;
}
