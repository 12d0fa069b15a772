/** @file Views of a larger weight: how a supernet's smaller layers share its parameters. */
import { assertShape } from "../../errors.ts";
import type { Tape } from "../tape.ts";
import { describe, elements, empty, plainLayout, type Tensor, valuesOf } from "../tensor.ts";

/**
 * The first `out` output channels, the first `in` input channels and the central k×k cells of a weight [O, I, K, K]. The
 * gradient goes back to those cells; the others get zero.
 * @throws AppError SHAPE when the slice is larger than the weight or the kernels' parities differ
 */
export function sliceWeight(
  tape: Tape | null,
  weight: Tensor,
  slice: { readonly out: number; readonly in: number; readonly kernel: number },
): Tensor {
  const [o, i, kh, kw] = weight.shape as [number, number, number, number];
  const { kernel } = slice;
  assertShape(
    slice.out <= o && slice.in <= i && kernel <= kh && kernel <= kw && (kh - kernel) % 2 === 0 && (kw - kernel) % 2 === 0,
    () => `sliceWeight: the slice must be a centred part of ${describe(weight)}, got ${slice.out}×${slice.in}×${kernel}×${kernel}`,
  );
  const shape = [slice.out, slice.in, kernel, kernel];
  const top = (kh - kernel) / 2;
  const left = (kw - kernel) / 2;
  const y = empty(plainLayout(shape), { requiresGrad: tape !== null && weight.requiresGrad });
  /** Calls `move(index in the whole, index in the slice)` for each row of `kernel` cells. */
  const eachRow = (move: (whole: number, part: number) => void) => {
    for (let a = 0, part = 0; a < slice.out; a++) {
      for (let b = 0; b < slice.in; b++) {
        for (let r = 0; r < kernel; r++, part += kernel) move(((a * i + b) * kh + top + r) * kw + left, part);
      }
    }
  };
  const [from, to] = [valuesOf(weight), valuesOf(y)];
  eachRow((whole, part) => {
    for (let c = 0; c < kernel; c++) to[part + c] = from[whole + c]!;
  });
  if (tape && y.requiresGrad) {
    tape.record({
      inputs: [weight],
      output: y,
      saved: [],
      backward: (dy) => {
        const dw = empty(plainLayout(weight.shape));
        const [grad, up] = [valuesOf(dw).fill(0), valuesOf(dy)];
        eachRow((whole, part) => {
          for (let c = 0; c < kernel; c++) grad[whole + c] = up[part + c]!;
        });
        return [dw];
      },
    });
  }
  return y;
}

/** The first `count` numbers of a vector [C] (scale, shift, bias of the channels that are kept). */
export function sliceVector(tape: Tape | null, vector: Tensor, count: number): Tensor {
  assertShape(
    vector.shape.length === 1 && count <= vector.shape[0]!,
    () => `sliceVector: at most ${elements(vector.shape)} numbers can be taken of ${describe(vector)}, got ${count}`,
  );
  const y = empty(plainLayout([count]), { requiresGrad: tape !== null && vector.requiresGrad });
  valuesOf(y).set(valuesOf(vector).subarray(0, count));
  if (tape && y.requiresGrad) {
    tape.record({
      inputs: [vector],
      output: y,
      saved: [],
      backward: (dy) => {
        const dv = empty(plainLayout(vector.shape));
        valuesOf(dv).fill(0).set(valuesOf(dy));
        return [dv];
      },
    });
  }
  return y;
}
