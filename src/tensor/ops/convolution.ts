/** @file 2-D convolution and its gradients. */
import { assertShape } from "../../errors.ts";
import { ARG } from "../../onednn/api.ts";
import type { Block } from "../../onednn/memory.ts";
import { type Layout, runtime } from "../../onednn/runtime.ts";
import { toLayout } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { activationLayout, describe, empty, free, plainLayout, type Tensor } from "../tensor.ts";
import { type ClipBounds, clipBackwardInto, clipInto, type InputClip } from "./clip-kernel.ts";
import {
  type ConvolutionKernel,
  type ConvolutionOptions,
  type ConvolutionPlan,
  convolutionPlan,
  convolutionShape,
} from "./convolution-plan.ts";
import { createDepthwiseWeightGradient, type DepthwiseWeightGradient } from "./depthwise-weight-gradient.ts";

/**
 * y[n,o,p,q] = b[o] + Σ x[n,i,p·s + u·d − pad, q·s + v·d − pad] · w[o,i,u,v]; groups as in ONNX's Conv.
 *
 * @param x      [N, I, H, W]
 * @param weight [O, I/groups, KH, KW]
 * @param bias   [O] or null
 * @param clipInput convolve clip(x) instead, written over x: the caller vouches that nothing else reads x. One pass over
 *   memory cheaper than the two ops, because each image is clipped right before (backward: right after) it is convolved.
 * @returns      [N, O, Ho, Wo]
 * @throws AppError SHAPE when channels, groups or extents do not fit
 */
export function conv2d(
  tape: Tape | null,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  options: ConvolutionOptions,
  clipInput: InputClip | null = null,
): Tensor {
  const shape = convolutionShape(x.shape, weight.shape, options);
  assertShape(
    bias === null || (bias.shape.length === 1 && bias.shape[0] === shape[1]),
    () => `conv2d: bias must be f32[${shape[1]}], got ${describe(bias!)}`,
  );
  const kind = { hasBias: bias !== null, isTraining: tape !== null };
  const plan = convolutionPlan(x.shape, weight.shape, options, kind);
  const { forward } = plan;
  const src = toLayout(x, forward.src);
  const weights = reordered(weight, plan, forward.weights);
  const dst = empty(forward.dst, { requiresGrad: tape !== null && (x.requiresGrad || weight.requiresGrad) });
  const clipsNow = clipInput !== null && !clipInput.isDone;
  eachChunk(plan, x.shape, weight.shape, options, kind, clipsNow, (part, first) => {
    const from = slice(src, first, part.forward.src);
    if (clipsNow) clipInto(part.forward.src, from, clipInput);
    const to = slice(dst, first, part.forward.dst);
    const { primitive } = part.forward;
    const args = [[ARG.src, part.forward.src, from] as const, [ARG.weights, forward.weights, weights.block] as const];
    if (bias) runtime().execute(primitive, ...args, [ARG.bias, bias.layout, bias.block], [ARG.dst, part.forward.dst, to]);
    else runtime().execute(primitive, ...args, [ARG.dst, part.forward.dst, to]);
  });
  if (weights.block !== weight.block) free(weights);
  const y = toLayout(dst, activationLayout(shape));
  if (y !== dst) free(dst);
  if (!tape || !y.requiresGrad) {
    if (src !== x) free(src);
    return y;
  }
  tape.record({
    inputs: bias ? [x, weight, bias] : [x, weight],
    output: y,
    saved: src === x ? [] : [src],
    backward: (dy) => {
      const dw = weight.requiresGrad || bias?.requiresGrad ? weightGradient(plan, src, dy, weight, options) : { weight: null, bias: null };
      const dx = x.requiresGrad ? dataGradient(plan, weight, dy, src, options, clipInput) : null;
      return [dx, dw.weight, dw.bias];
    },
  });
  return y;
}

/** Images that are clipped and convolved together should stay in cache; 4 to 12 MB measured best with 1 MB of L2 per core and 32 MB of L3. */
const CHUNK_BYTES = 8 << 20;

/** Calls `work` for the whole batch, or, when `isChunked`, for runs of images with a plan for that many. */
function eachChunk(
  plan: ConvolutionPlan,
  x: readonly number[],
  weight: readonly number[],
  options: ConvolutionOptions,
  kind: { hasBias: boolean; isTraining: boolean },
  isChunked: boolean,
  work: (part: ConvolutionPlan, first: number) => void,
): void {
  const n = x[0]!;
  const images = Math.max(2, Math.floor((CHUNK_BYTES * n) / plan.forward.src.bytes));
  if (!isChunked || images >= n) {
    work(plan, 0);
    return;
  }
  for (let first = 0; first < n; first += images) {
    const part = convolutionPlan([Math.min(images, n - first), ...x.slice(1)], weight, options, kind);
    // A smaller batch may have been given other layouts: then the batch stays whole.
    const fits =
      part.forward.weights === plan.forward.weights && part.forward.src.bytes * n === plan.forward.src.bytes * part.forward.src.dims[0]!;
    if (!fits) {
      work(plan, 0);
      return;
    }
    work(part, first);
  }
}

/** The memory of the images from `first` on. */
function slice(tensor: Tensor, first: number, part: Layout): Block {
  return first === 0 && part === tensor.layout ? tensor.block : runtime().pool.slice(tensor.block, (first * part.bytes) / part.dims[0]!);
}

/** Reads or writes `tensor` in a layout with a group axis: same memory, other dimensions. */
function reordered(weight: Tensor, plan: ConvolutionPlan, layout: Layout): Tensor {
  return toLayout({ ...weight, shape: layout.dims, layout: plan.plainWeights }, layout);
}

function dataGradient(
  plan: ConvolutionPlan,
  weight: Tensor,
  dy: Tensor,
  src: Tensor,
  options: ConvolutionOptions,
  clipInput: ClipBounds | null,
): Tensor {
  const whole = plan.dataGradient();
  const ddst = toLayout(dy, whole.dst);
  const weights = reordered(weight, plan, whole.weights);
  const dx = empty(whole.src);
  const kind = { hasBias: plan.bias !== null, isTraining: true };
  const isChunked = clipInput !== null && whole.src === src.layout;
  eachChunk(plan, src.shape, weight.shape, options, kind, isChunked, (part, first) => {
    const kernel: ConvolutionKernel = part.dataGradient();
    const into = slice(dx, first, kernel.src);
    runtime().execute(
      kernel.primitive,
      [ARG.diffDst, kernel.dst, slice(ddst, first, kernel.dst)],
      [ARG.weights, whole.weights, weights.block],
      [ARG.diffSrc, kernel.src, into],
    );
    if (isChunked) clipBackwardInto(kernel.src, slice(src, first, kernel.src), into, into, clipInput);
  });
  if (weights.block !== weight.block) free(weights);
  if (ddst !== dy) free(ddst);
  if (!clipInput || isChunked) return dx;
  const aligned = toLayout(dx, src.layout);
  if (aligned !== dx) free(dx);
  clipBackwardInto(src.layout, src.block, aligned.block, aligned.block, clipInput);
  return aligned;
}

function weightGradient(
  plan: ConvolutionPlan,
  src: Tensor,
  dy: Tensor,
  weight: Tensor,
  options: ConvolutionOptions,
): { weight: Tensor; bias: Tensor | null } {
  const engine = runtime();
  const depthwise = engine.cached<{ tiles: DepthwiseWeightGradient | null }>(`${plan.key}|tiles`, () => ({
    tiles: plan.bias ? null : createDepthwiseWeightGradient(src.shape, weight.shape, dy.shape, options),
  })).tiles;
  if (depthwise) return { weight: depthwise(src, dy), bias: null };
  const kernel = plan.weightGradient();
  const x = toLayout(src, kernel.src);
  const ddst = toLayout(dy, kernel.dst);
  const dw = empty(kernel.weights);
  const db = plan.bias ? empty(plan.bias) : null;
  engine.execute(
    kernel.primitive,
    [ARG.src, kernel.src, x.block],
    [ARG.diffDst, kernel.dst, ddst.block],
    [ARG.diffWeights, kernel.weights, dw.block],
    ...(db ? [[ARG.diffBias, db.layout, db.block] as const] : []),
  );
  if (x !== src) free(x);
  if (ddst !== dy) free(ddst);
  const plain = toLayout(dw, plan.plainWeights);
  if (plain !== dw) free(dw);
  return { weight: ungrouped(plain, weight), bias: db };
}

/** Drops the group axis again: the row-major memory is the same. */
function ungrouped(gradient: Tensor, weight: Tensor): Tensor {
  if (gradient.shape.length === weight.shape.length) return gradient;
  runtime().pool.retain(gradient.block);
  const result: Tensor = { ...gradient, shape: weight.shape, layout: plainLayout(weight.shape), isFreed: false };
  free(gradient);
  return result;
}
