/** @file Ops that move channels and pixels about: slices, shuffles, zero padding, normalisation over neighbouring channels. */
import { assertShape } from "../../errors.ts";
import { boxLayout, copy, toActivation, toLayout, toPlain } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { activationLayout, describe, empty, free, plainLayout, type Tensor, valuesInMemory, valuesOf } from "../tensor.ts";
import { affine, power } from "./activation.ts";
import { copyChannels, cuttableLayout, mul } from "./combine.ts";
import { conv2d } from "./convolution.ts";

/** The result of `forward`, whose gradient is `backward(dy)`; intermediate layouts are freed. */
function linearOp(tape: Tape | null, x: Tensor, forward: (x: Tensor) => Tensor, backward: (dy: Tensor) => Tensor): Tensor {
  const made = forward(x);
  const y = toActivation(made);
  if (y !== made) free(made);
  Object.assign(y, { requiresGrad: tape !== null && x.requiresGrad });
  if (tape && y.requiresGrad) tape.record({ inputs: [x], output: y, saved: [], backward: (dy) => [backward(dy)] });
  return y;
}

/** Channels start … start + count − 1: [N, C, H, W] → [N, count, H, W]. @throws AppError SHAPE */
export function sliceChannels(tape: Tape | null, x: Tensor, start: number, count: number): Tensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  assertShape(
    start >= 0 && count > 0 && start + count <= c,
    () => `sliceChannels: channels ${start} to ${start + count - 1} must be in the input, got ${describe(x)}`,
  );
  const shape = [n, count, h, w];
  const layoutOf = (s: readonly number[]) => cuttableLayout(s, [start, count, c]);
  const take = (from: Tensor) => {
    const whole = toLayout(from, layoutOf(x.shape));
    const part = empty(layoutOf(shape));
    copyChannels(whole, start, part, 0, count);
    if (whole !== from) free(whole);
    return part;
  };
  const put = (dy: Tensor) => {
    const part = toLayout(dy, layoutOf(shape));
    const whole = empty(layoutOf(x.shape));
    valuesInMemory(whole).fill(0);
    copyChannels(part, 0, whole, start, count);
    if (part !== dy) free(part);
    return whole;
  };
  return linearOp(tape, x, take, put);
}

/** The channel axis read as a matrix [rows, columns] and transposed. */
function transposeChannels(x: Tensor, rows: number, columns: number): Tensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const source = toPlain(x);
  const y = empty(plainLayout(x.shape));
  const [from, to] = [valuesOf(source), valuesOf(y)];
  const pixels = h * w;
  for (let at = 0; at < n * c * pixels; at += c * pixels) {
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const first = at + (i * columns + j) * pixels;
        to.set(from.subarray(first, first + pixels), at + (j * rows + i) * pixels);
      }
    }
  }
  if (source !== x) free(source);
  return y;
}

/** Channel i·C/g + j moves to j·g + i. Paper: Zhang et al. 2018, arXiv:1707.01083, fig. 1. @throws AppError SHAPE */
export function channelShuffle(tape: Tape | null, x: Tensor, groups: number): Tensor {
  const channels = x.shape[1]!;
  assertShape(channels % groups === 0, () => `channelShuffle: channels must be a multiple of ${groups} groups, got ${describe(x)}`);
  return linearOp(
    tape,
    x,
    (from) => transposeChannels(from, groups, channels / groups),
    (dy) => transposeChannels(dy, channels / groups, groups),
  );
}

export interface PadOptions {
  readonly padding: { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };
}

/** Zeros around every image: [N, C, H, W] → [N, C, H + top + bottom, W + left + right]. */
export function pad(tape: Tape | null, x: Tensor, { padding: { top, left, bottom, right } }: PadOptions): Tensor {
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const layout = activationLayout([n, c, h + top + bottom, w + left + right]);
  const box = () => boxLayout(layout, x.shape, [0, 0, top, left])!;
  const surround = (from: Tensor) => {
    const y = empty(layout);
    valuesInMemory(y).fill(0);
    copy(from, y, from.layout, box());
    return y;
  };
  const crop = (dy: Tensor) => {
    const source = toLayout(dy, layout);
    const dx = empty(activationLayout(x.shape));
    copy(source, dx, box(), dx.layout);
    if (source !== dy) free(source);
    return dx;
  };
  return linearOp(tape, x, surround, crop);
}

export interface LrnOptions {
  readonly size: number;
  readonly alpha: number;
  readonly beta: number;
  readonly bias: number;
}

/**
 * x / (bias + alpha/size · Σ x²)^beta, the sum over channels c − ⌊(size − 1)/2⌋ … c + ⌈(size − 1)/2⌉. The sum is a 1×1
 * convolution of x² with a banded matrix. x [N, C, H, W]. Paper: Krizhevsky et al. 2012, section 3.3.
 */
export function lrn(tape: Tape | null, x: Tensor, { size, alpha, beta, bias }: LrnOptions): Tensor {
  const channels = x.shape[1]!;
  const band = empty(plainLayout([channels, channels, 1, 1]));
  const weights = valuesOf(band).fill(0);
  for (let c = 0; c < channels; c++) {
    const last = Math.min(channels - 1, c + Math.ceil((size - 1) / 2));
    for (let i = Math.max(0, c - Math.floor((size - 1) / 2)); i <= last; i++) weights[c * channels + i] = alpha / size;
  }
  const none = { top: 0, left: 0, bottom: 0, right: 0 };
  const pointwise = { stride: [1, 1], padding: none, dilation: [1, 1], groups: 1 } as const;
  const sums = conv2d(tape, mul(tape, x, x), band, null, pointwise);
  return mul(tape, x, power(tape, affine(tape, sums, 1, bias), -beta));
}
