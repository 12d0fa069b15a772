/** @file 2-D convolution and its gradients. */
import { AppError, assertShape } from "../../errors.ts";
import { ARG, type Handle, PROP, QUERY, type WindowGeometry } from "../../onednn/api.ts";
import { type Layout, type Primitive, runtime } from "../../onednn/runtime.ts";
import { toLayout } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { activationLayout, describe, empty, free, plainLayout, type Tensor } from "../tensor.ts";
import { createDepthwiseWeightGradient, type DepthwiseWeightGradient } from "./depthwise-weight-gradient.ts";

export interface ConvolutionOptions {
  readonly stride: readonly [number, number];
  readonly padding: { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

interface Plan {
  readonly src: Layout;
  readonly dst: Layout;
  /** The weight's row-major layout with the group axis that oneDNN wants. */
  readonly plainWeights: Layout;
  readonly weights: Layout;
  readonly forward: Primitive;
  readonly geometry: WindowGeometry;
  readonly hasBias: boolean;
}
interface BackwardPlan {
  readonly primitive: Primitive;
  readonly weights: Layout;
  readonly src: Layout;
  readonly dst: Layout;
}

/** Output extent along one axis: floor((size + before + after − dilation·(k − 1) − 1) / stride) + 1. */
export function windowOutput(size: number, k: number, stride: number, before: number, after: number, dilation = 1): number {
  return Math.floor((size + before + after - dilation * (k - 1) - 1) / stride) + 1;
}

function planKey(x: readonly number[], w: readonly number[], o: ConvolutionOptions, hasBias: boolean, training: boolean): string {
  const { top, left, bottom, right } = o.padding;
  return `conv|${x}|${w}|${o.stride}|${top},${left},${bottom},${right}|${o.dilation}|${o.groups}|${hasBias}|${training}`;
}

function outputShape(x: Tensor, weight: Tensor, o: ConvolutionOptions): [number, number, number, number] {
  assertShape(
    x.shape.length === 4 && weight.shape.length === 4,
    () => `conv2d: x and weight must have 4 axes, got ${describe(x)} and ${describe(weight)}`,
  );
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const [out, inPerGroup, kh, kw] = weight.shape as [number, number, number, number];
  assertShape(
    c === inPerGroup * o.groups && out % o.groups === 0,
    () =>
      `conv2d: weight must have ${c}/${o.groups} input channels to match x ${describe(x)} in ${o.groups} groups, got weight ${describe(weight)}`,
  );
  const ho = windowOutput(h, kh, o.stride[0], o.padding.top, o.padding.bottom, o.dilation[0]);
  const wo = windowOutput(w, kw, o.stride[1], o.padding.left, o.padding.right, o.dilation[1]);
  assertShape(ho > 0 && wo > 0, () => `conv2d: the kernel must fit into the padded input ${describe(x)}, got weight ${describe(weight)}`);
  return [n, out, ho, wo];
}

/** True when oneDNN has only its slow reference code for the fixed layouts. */
const isSlow = (descriptor: Handle) => descriptor === 0 || runtime().api.implementation(descriptor).startsWith("ref");

function makePlan(x: Tensor, weight: Tensor, shape: readonly number[], o: ConvolutionOptions, hasBias: boolean, isTraining: boolean): Plan {
  const engine = runtime();
  const { api } = engine;
  const [out, inPerGroup, kh, kw] = weight.shape as [number, number, number, number];
  const grouped = o.groups > 1 ? [o.groups, out / o.groups, inPerGroup, kh, kw] : weight.shape;
  const geometry: WindowGeometry = {
    strides: o.stride,
    dilations: [o.dilation[0] - 1, o.dilation[1] - 1],
    paddingBefore: [o.padding.top, o.padding.left],
    paddingAfter: [o.padding.bottom, o.padding.right],
  };
  const channels = x.shape[1]!;
  const isImage = o.groups === 1 && (channels === 1 || channels === 3);
  const any = (dims: readonly number[]) => api.descByTag(dims, "any");
  const bias = hasBias ? engine.layout([out], "a").desc : 0;
  const prop = isTraining ? PROP.training : PROP.inference;
  let src = isImage ? plainLayout(x.shape) : activationLayout(x.shape);
  let dst = activationLayout(shape);
  let descriptor = api.convForward(prop, src.desc, any(grouped), bias, dst.desc, geometry);
  if (isSlow(descriptor)) {
    const free = api.convForward(prop, any(x.shape), any(grouped), bias, any(shape), geometry);
    if (free !== 0) {
      descriptor = free;
      src = engine.adopt(api.queryDesc(free, QUERY.src), x.shape);
      dst = engine.adopt(api.queryDesc(free, QUERY.dst), shape);
    }
  }
  const forward = engine.compile(descriptor, `a convolution of ${describe(x)} with ${describe(weight)}`);
  const weights = engine.adopt(api.queryDesc(descriptor, QUERY.weights), grouped);
  return { src, dst, plainWeights: plainLayout(grouped), weights, forward, geometry, hasBias };
}

/** A plan for a gradient: the activation layouts if oneDNN is fast with them, its own choice otherwise. */
function makeBackward(plan: Plan, create: (src: number, weights: number, dst: number) => Handle, weightsQuery: number): BackwardPlan {
  const engine = runtime();
  const { api } = engine;
  const any = (layout: Layout) => api.descByTag(layout.dims, "any");
  let { src, dst } = plan;
  let descriptor = create(src.desc, any(plan.weights), dst.desc);
  if (isSlow(descriptor)) {
    const free = create(any(src), any(plan.weights), any(dst));
    if (free !== 0) {
      descriptor = free;
      const isWeights = weightsQuery === QUERY.diffWeights;
      src = engine.adopt(api.queryDesc(free, isWeights ? QUERY.src : QUERY.diffSrc), src.dims);
      dst = engine.adopt(api.queryDesc(free, QUERY.diffDst), dst.dims);
    }
  }
  const primitive = engine.compile(descriptor, `the gradient of a convolution of [${src.dims}]`);
  return { primitive, src, dst, weights: engine.adopt(api.queryDesc(descriptor, weightsQuery), plan.weights.dims) };
}

/** Reads or writes `tensor` in a layout with a group axis: same memory, other dimensions. */
const grouped = (tensor: Tensor, layout: Layout): Tensor => ({ ...tensor, shape: layout.dims, layout });

function reordered(weight: Tensor, plan: Plan, layout: Layout): Tensor {
  return toLayout(grouped(weight, plan.plainWeights), layout);
}

/**
 * y[n,o,p,q] = b[o] + Σ x[n,i,p·s + u·d − pad, q·s + v·d − pad] · w[o,i,u,v]; groups as in ONNX's Conv.
 *
 * @param x      [N, I, H, W]
 * @param weight [O, I/groups, KH, KW]
 * @param bias   [O] or null
 * @returns      [N, O, Ho, Wo]
 * @throws AppError SHAPE when channels, groups or extents do not fit
 */
export function conv2d(tape: Tape | null, x: Tensor, weight: Tensor, bias: Tensor | null, options: ConvolutionOptions): Tensor {
  const engine = runtime();
  const shape = outputShape(x, weight, options);
  assertShape(
    bias === null || (bias.shape.length === 1 && bias.shape[0] === shape[1]),
    () => `conv2d: bias must be f32[${shape[1]}], got ${describe(bias!)}`,
  );
  const key = planKey(x.shape, weight.shape, options, bias !== null, tape !== null);
  const plan = engine.cached(key, () => makePlan(x, weight, shape, options, bias !== null, tape !== null));
  const src = toLayout(x, plan.src);
  const weights = reordered(weight, plan, plan.weights);
  const dst = empty(plan.dst, { requiresGrad: tape !== null && (x.requiresGrad || weight.requiresGrad) });
  if (bias) {
    engine.execute(
      plan.forward,
      [ARG.src, plan.src, src.block],
      [ARG.weights, plan.weights, weights.block],
      [ARG.bias, bias.layout, bias.block],
      [ARG.dst, plan.dst, dst.block],
    );
  } else
    engine.execute(
      plan.forward,
      [ARG.src, plan.src, src.block],
      [ARG.weights, plan.weights, weights.block],
      [ARG.dst, plan.dst, dst.block],
    );
  if (weights.block !== weight.block) free(weights);
  const wanted = activationLayout(shape);
  const y = toLayout(dst, wanted);
  if (y !== dst) free(dst);
  if (!tape || !y.requiresGrad) {
    if (src !== x) free(src);
    return y;
  }
  const saved = src === x ? [] : [src];
  tape.record({
    inputs: bias ? [x, weight, bias] : [x, weight],
    output: y,
    saved,
    backward: (dy) => {
      const dx = x.requiresGrad ? dataGradient(key, plan, weight, dy) : null;
      const dw = weight.requiresGrad || bias?.requiresGrad ? weightGradient(key, plan, src, dy, weight, options) : null;
      return dw ? [dx, dw.weight, dw.bias] : [dx, null, null];
    },
  });
  return y;
}

function dataGradient(key: string, plan: Plan, weight: Tensor, dy: Tensor): Tensor {
  const engine = runtime();
  const back = engine.cached(`${key}|data`, () =>
    makeBackward(plan, (src, w, dst) => engine.api.convBackwardData(src, w, dst, plan.geometry, plan.forward.descriptor), QUERY.weights),
  );
  const ddst = toLayout(dy, back.dst);
  const weights = reordered(weight, plan, back.weights);
  const dx = empty(back.src);
  engine.execute(
    back.primitive,
    [ARG.diffDst, back.dst, ddst.block],
    [ARG.weights, back.weights, weights.block],
    [ARG.diffSrc, back.src, dx.block],
  );
  if (weights.block !== weight.block) free(weights);
  if (ddst !== dy) free(ddst);
  return dx;
}

function weightGradient(
  key: string,
  plan: Plan,
  src: Tensor,
  dy: Tensor,
  weight: Tensor,
  options: ConvolutionOptions,
): { weight: Tensor; bias: Tensor | null } {
  const engine = runtime();
  const depthwise = engine.cached<{ tiles: DepthwiseWeightGradient | null }>(`${key}|tiles`, () => ({
    tiles: plan.hasBias ? null : createDepthwiseWeightGradient(src.shape, weight.shape, dy.shape, options),
  })).tiles;
  if (depthwise) return { weight: depthwise(src, dy), bias: null };
  const biasLayout = plan.hasBias ? engine.layout([weight.shape[0]!], "a") : null;
  const back = engine.cached(`${key}|weights`, () =>
    makeBackward(
      plan,
      (s, w, d) => engine.api.convBackwardWeights(s, w, biasLayout?.desc ?? 0, d, plan.geometry, plan.forward.descriptor),
      QUERY.diffWeights,
    ),
  );
  const x = toLayout(src, back.src);
  const ddst = toLayout(dy, back.dst);
  const dw = empty(back.weights);
  const db = biasLayout ? empty(biasLayout) : null;
  if (db)
    engine.execute(
      back.primitive,
      [ARG.src, back.src, x.block],
      [ARG.diffDst, back.dst, ddst.block],
      [ARG.diffWeights, back.weights, dw.block],
      [ARG.diffBias, db.layout, db.block],
    );
  else
    engine.execute(
      back.primitive,
      [ARG.src, back.src, x.block],
      [ARG.diffDst, back.dst, ddst.block],
      [ARG.diffWeights, back.weights, dw.block],
    );
  if (x !== src) free(x);
  if (ddst !== dy) free(ddst);
  const plain = toLayout(dw, plan.plainWeights);
  if (plain !== dw) free(dw);
  if (plain.block === weight.block) throw new AppError("INTERNAL", "internal: a gradient shares its weight's memory");
  return { weight: ungrouped(plain, weight), bias: db };
}

/** Drops the group axis again: the row-major memory is the same. */
function ungrouped(gradient: Tensor, weight: Tensor): Tensor {
  if (gradient.shape.length === weight.shape.length) return gradient;
  const { pool } = runtime();
  pool.retain(gradient.block);
  const result: Tensor = { ...gradient, shape: weight.shape, layout: plainLayout(weight.shape), isFreed: false };
  free(gradient);
  return result;
}
