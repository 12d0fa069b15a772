/**
 * @file A widening 1×1 convolution with the batch normalisation after it, as one convolution.
 *
 * The statistics of y = W·x follow from those of the narrow x: mean W·m, variance wᵀCw with m and C the mean and covariance of x
 * over N, H, W. So the wide map need not be read to be normalised: it is written once, normalised already, and its backward pass
 * reads it once less as well. For the sixfold expansions of inverted residuals this halves the memory traffic of the block's
 * widest layer and the memory that waits for the backward pass.
 */
import { ARG } from "../../onednn/api.ts";
import { runtime } from "../../onednn/runtime.ts";
import { toActivation, toLayout } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { empty, free, plainLayout, type Tensor, valuesOf } from "../tensor.ts";
import { type BatchNormOptions, type BatchNormState, updateRunning } from "./batch-norm.ts";
import type { ClipBounds } from "./clip-kernel.ts";
import { type ConvolutionKind, type ConvolutionOptions, type ConvolutionPlan, convolutionPlan } from "./convolution-plan.ts";
import { globalAveragePool } from "./pooling.ts";

const POINTWISE: ConvolutionOptions = { stride: [1, 1], padding: { top: 0, left: 0, bottom: 0, right: 0 }, dilation: [1, 1], groups: 1 };
/** Fewer pixels than this, or a covariance larger than this, and the plain way is as fast. */
const FEWEST_PIXELS = 2048;
const MOST_INPUTS = 128;
const LEAST_EXPANSION = 3;

/** Whether the fused form pays for x [N, I, H, W] and weight [O, I, 1, 1]. */
export function isFusionWorthwhile([n, i, h, w]: readonly number[], [o]: readonly number[]): boolean {
  return n! * h! * w! >= FEWEST_PIXELS && i! <= MOST_INPUTS && o! >= LEAST_EXPANSION * i!;
}

const planFor = (x: readonly number[], outputs: number, write: ConvolutionKind["write"] = null) =>
  convolutionPlan(x, [outputs, x[1]!, 1, 1], POINTWISE, { hasBias: true, isTraining: true, write });

/** Σ dy·xᵀ [O, I, 1, 1] over N, H, W: a convolution's weight gradient, row-major. */
function outerProducts(x: Tensor, dy: Tensor): Tensor {
  const weight = [dy.shape[1]!, x.shape[1]!, 1, 1];
  const plan = convolutionPlan(x.shape, weight, POINTWISE, { hasBias: false, isTraining: true });
  const kernel = plan.weightGradient();
  const [src, dst, blocked] = [toLayout(x, kernel.src), toLayout(dy, kernel.dst), empty(kernel.weights)];
  runtime().execute(
    kernel.primitive,
    [ARG.src, kernel.src, src.block],
    [ARG.diffDst, kernel.dst, dst.block],
    [ARG.diffWeights, kernel.weights, blocked.block],
  );
  const products = toLayout(blocked, plan.plainWeights);
  for (const [copied, original] of [
    [src, x],
    [dst, dy],
    [blocked, products],
  ] as const)
    if (copied !== original) free(copied);
  return products;
}

/** Σ x [C] over N, H, W. By pooling: the bias gradient of the convolution above would cost half as much as its weight gradient. */
function channelSums(x: Tensor): Float64Array {
  const [n, channels, h, w] = x.shape as [number, number, number, number];
  const pooled = globalAveragePool(null, x);
  const rows = toLayout(pooled, plainLayout(pooled.shape));
  const values = valuesOf(rows);
  const sums = new Float64Array(channels);
  for (let i = 0, at = 0; i < n; i++) for (let c = 0; c < channels; c++, at++) sums[c]! += values[at]! * h * w;
  if (rows !== pooled) free(rows);
  free(pooled);
  return sums;
}

/** weight·x + bias, into a tensor whose content the plan may add to; null for a new one. */
function affineMap(plan: ConvolutionPlan, x: Tensor, weight: Tensor, bias: Tensor, into: Tensor | null = null): Tensor {
  const { primitive, src, weights, dst } = plan.forward;
  const [from, matrix, y] = [toLayout(x, src), toLayout(weight, weights), into ? toLayout(into, dst) : empty(dst)];
  runtime().execute(
    primitive,
    [ARG.src, src, from.block],
    [ARG.weights, weights, matrix.block],
    [ARG.bias, bias.layout, bias.block],
    [ARG.dst, dst, y.block],
  );
  if (from !== x) free(from);
  if (matrix !== weight) free(matrix);
  return toActivation(y);
}

/** Row-major C [m, n] = op(A)·B. */
function product(a: Tensor, isTransposed: boolean, b: Tensor, m: number, n: number, k: number): Tensor {
  const c = empty(plainLayout([m, n]));
  runtime().api.sgemm(isTransposed, false, m, n, k, a.block.address, isTransposed ? m : k, b.block.address, n, 0, c.block.address, n);
  return c;
}

/** Mean m [I] and covariance C [I, I] of x over N, H, W. */
function inputMoments(x: Tensor, count: number): { mean: Float64Array; covariance: Tensor } {
  const inputs = x.shape[1]!;
  const products = outerProducts(x, x);
  const mean = channelSums(x).map((sum) => sum / count);
  const covariance = empty(plainLayout([inputs, inputs]));
  const [from, to] = [valuesOf(products), valuesOf(covariance)];
  for (let a = 0, at = 0; a < inputs; a++) for (let b = 0; b < inputs; b++, at++) to[at] = from[at]! / count - mean[a]! * mean[b]!;
  free(products);
  return { mean, covariance };
}

/** Σᵢ a[r, i]·b[r, i] of each row. */
function rowProducts(a: Float32Array, b: Float32Array, rows: number): Float64Array {
  const columns = a.length / rows;
  const result = new Float64Array(rows);
  for (let r = 0, at = 0; r < rows; r++) for (let i = 0; i < columns; i++, at++) result[r]! += a[at]! * b[at]!;
  return result;
}

/**
 * batchNorm(conv2d(x, weight)) with the batch's statistics:
 * y = s·(W·x − W·m) + β with s = γ / √(wᵀCw + ε) per output channel.
 *
 * Backward, with D = Σ dy·(x − m)ᵀ, N pixels: dβ = Σ dy; ds = rows of W·D; dγ = ds/σ; dv = −ds·γ/(2σ³);
 * dW = s·D + 2·dv·W·C; dx = (s·W)ᵀ·dy − (1/N)·Σ (s·dβ)·W + (2/N)·Wᵀ·dv·W·(x − m).
 *
 * @param x      [N, I, H, W]
 * @param weight [O, I, 1, 1]
 * @param clip   also clip the result; the backward pass then expects the gradient of the unclipped one: whoever reads the result
 *   zeroes it outside the bounds (see `clipInput` of `conv2d`)
 * @returns      [N, O, H, W]
 * Paper: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1, rewritten for a linear map of x.
 */
export function pointwiseNorm(
  tape: Tape | null,
  x: Tensor,
  weight: Tensor,
  state: BatchNormState,
  options: BatchNormOptions,
  clip: ClipBounds | null = null,
): Tensor {
  const [n, inputs, h, w] = x.shape as [number, number, number, number];
  const outputs = weight.shape[0]!;
  const count = n * h * w;
  const src = toActivation(x);
  const { mean, covariance } = inputMoments(src, count);
  const weightCovariance = product(weight, false, covariance, outputs, inputs, inputs);
  free(covariance);
  const [wValues, wcValues, gamma, beta] = [weight, weightCovariance, state.scale, state.shift].map(valuesOf) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const variance = rowProducts(wValues, wcValues, outputs).map((v) => Math.max(0, v));
  const deviation = variance.map((v) => Math.sqrt(v + options.epsilon));
  const outputMean = new Float64Array(outputs);
  const [scaled, bias] = [empty(plainLayout(weight.shape)), empty(plainLayout([outputs]))];
  const [scaledValues, biasValues] = [valuesOf(scaled), valuesOf(bias)];
  for (let o = 0, at = 0; o < outputs; o++) {
    const s = gamma[o]! / deviation[o]!;
    for (let i = 0; i < inputs; i++, at++) {
      scaledValues[at] = s * wValues[at]!;
      outputMean[o]! += wValues[at]! * mean[i]!;
    }
    biasValues[o] = beta[o]! - s * outputMean[o]!;
  }
  if (options.updateRunning) updateRunning(state, outputMean, variance, count, options.momentum);
  const plan = planFor(src.shape, outputs);
  const y = Object.assign(affineMap(planFor(src.shape, outputs, clip), src, scaled, bias), {
    requiresGrad: tape !== null && (x.requiresGrad || weight.requiresGrad),
  });
  free(bias);
  const own = [weightCovariance, scaled, ...(src === x ? [] : [src])];
  if (!tape || !y.requiresGrad) {
    for (const tensor of own) free(tensor);
    return y;
  }
  tape.record({
    inputs: [x, weight, state.scale, state.shift],
    output: y,
    saved: own,
    backward: (dy) => {
      const products = outerProducts(src, dy);
      const [d, db] = [valuesOf(products), channelSums(dy)];
      for (let o = 0, at = 0; o < outputs; o++) for (let i = 0; i < inputs; i++, at++) d[at] = d[at]! - db[o]! * mean[i]!;
      const ds = rowProducts(wValues, d, outputs);
      const [dscale, dweight, weighted] = [
        empty(plainLayout([outputs])),
        empty(plainLayout(weight.shape)),
        empty(plainLayout(weight.shape)),
      ];
      const [dscaleValues, dw, dvW] = [valuesOf(dscale), valuesOf(dweight), valuesOf(weighted)];
      const shift = new Float64Array(inputs);
      for (let o = 0, at = 0; o < outputs; o++) {
        const sigma = deviation[o]!;
        const dv = variance[o]! > 0 ? (-0.5 * ds[o]! * gamma[o]!) / sigma ** 3 : 0;
        dscaleValues[o] = ds[o]! / sigma;
        for (let i = 0; i < inputs; i++, at++) {
          dw[at] = (gamma[o]! / sigma) * d[at]! + 2 * dv * wcValues[at]!;
          dvW[at] = (2 / count) * dv * wValues[at]!;
          shift[i]! -= (scaledValues[at]! * db[o]!) / count;
        }
      }
      const dx = x.requiresGrad
        ? inputGradient(plan, src, dy, scaled, product(weighted, true, weight, inputs, inputs, outputs), shift, mean)
        : null;
      free(products);
      free(weighted);
      const dshift = empty(plainLayout([outputs]));
      valuesOf(dshift).set(db);
      return [dx, dweight, dscale, dshift];
    },
  });
  return y;
}

/** scaledᵀ·dy + curvature·(x − mean) + shift; frees `curvature` [I, I]. */
function inputGradient(
  plan: ConvolutionPlan,
  x: Tensor,
  dy: Tensor,
  scaled: Tensor,
  curvature: Tensor,
  shift: Float64Array,
  mean: Float64Array,
): Tensor {
  const inputs = mean.length;
  const kernel = plan.dataGradient();
  const [dst, weights, blocked] = [toLayout(dy, kernel.dst), toLayout(scaled, kernel.weights), empty(kernel.src)];
  runtime().execute(
    kernel.primitive,
    [ARG.diffDst, kernel.dst, dst.block],
    [ARG.weights, kernel.weights, weights.block],
    [ARG.diffSrc, kernel.src, blocked.block],
  );
  if (dst !== dy) free(dst);
  if (weights !== scaled) free(weights);
  const dx = toLayout(blocked, x.layout);
  if (dx !== blocked) free(blocked);
  const bias = empty(plainLayout([inputs]));
  const [rows, biasValues] = [valuesOf(curvature), valuesOf(bias)];
  for (let a = 0; a < inputs; a++) {
    let constant = shift[a]!;
    for (let b = 0; b < inputs; b++) constant -= rows[a * inputs + b]! * mean[b]!;
    biasValues[a] = constant;
  }
  const matrix: Tensor = { ...curvature, shape: [inputs, inputs, 1, 1], layout: plainLayout([inputs, inputs, 1, 1]) };
  const sum = affineMap(planFor(x.shape, inputs, "sum"), x, matrix, bias, dx);
  free(bias);
  free(curvature);
  return sum;
}
