/** @file Compiled convolutions: which kernels and memory layouts run one geometry forward and backward. */
import { assertShape } from "../../errors.ts";
import { clipTo, type Handle, PROP, QUERY, type WindowGeometry } from "../../onednn/api.ts";
import { type Layout, type Primitive, runtime } from "../../onednn/runtime.ts";
import { activationLayout, describe, plainLayout } from "../tensor.ts";
import type { ClipBounds } from "./clip-kernel.ts";

export interface ConvolutionOptions {
  readonly stride: readonly [number, number];
  readonly padding: { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

/** A kernel with the layouts it reads and writes. */
export interface ConvolutionKernel {
  readonly primitive: Primitive;
  readonly src: Layout;
  readonly weights: Layout;
  readonly dst: Layout;
}

export interface ConvolutionPlan {
  readonly forward: ConvolutionKernel;
  /** The weight's row-major layout with the group axis that oneDNN wants. */
  readonly plainWeights: Layout;
  readonly bias: Layout | null;
  /** Names this plan in the engine's cache. */
  readonly key: string;
  dataGradient(): ConvolutionKernel;
  weightGradient(): ConvolutionKernel;
}

type Shape4 = readonly [number, number, number, number];

/** Output extent along one axis: floor((size + before + after − dilation·(k − 1) − 1) / stride) + 1. */
export function windowOutput(size: number, k: number, stride: number, before: number, after: number, dilation = 1): number {
  return Math.floor((size + before + after - dilation * (k - 1) - 1) / stride) + 1;
}

/** Shape of the result. @throws AppError SHAPE when channels, groups or extents do not fit */
export function convolutionShape(x: readonly number[], weight: readonly number[], o: ConvolutionOptions): Shape4 {
  const text = (shape: readonly number[]) => describe({ shape });
  assertShape(x.length === 4 && weight.length === 4, () => `conv2d: x and weight must have 4 axes, got ${text(x)} and ${text(weight)}`);
  const [n, c, h, w] = x as Shape4;
  const [out, inPerGroup, kh, kw] = weight as Shape4;
  assertShape(
    c === inPerGroup * o.groups && out % o.groups === 0,
    () =>
      `conv2d: weight must have ${c}/${o.groups} input channels to match x ${text(x)} in ${o.groups} groups, got weight ${text(weight)}`,
  );
  const ho = windowOutput(h, kh, o.stride[0], o.padding.top, o.padding.bottom, o.dilation[0]);
  const wo = windowOutput(w, kw, o.stride[1], o.padding.left, o.padding.right, o.dilation[1]);
  assertShape(ho > 0 && wo > 0, () => `conv2d: the kernel must fit into the padded input ${text(x)}, got weight ${text(weight)}`);
  return [n, out, ho, wo];
}

/** True when oneDNN has only its slow reference code for the layouts asked for. */
const isSlow = (descriptor: Handle) => descriptor === 0 || runtime().api.implementation(descriptor).startsWith("ref");

/**
 * Measured with oneDNN 2.6 on AVX-512, batch 128: Winograd takes 0.62 of the direct time with 64 channels on 8×8, 0.75 with 32 on
 * 16×16, but 1.4 with 16 on 32×32; its weight gradient is not faster. Evaluation stays direct: exported files compute that way.
 */
function isWinogradFaster([out, inPerGroup, kh, kw]: readonly number[], { stride, dilation, groups }: ConvolutionOptions): boolean {
  const isPlain3x3 = kh === 3 && kw === 3 && groups === 1 && [...stride, ...dilation].every((n) => n === 1);
  return isPlain3x3 && out! >= 32 && inPerGroup! >= 32;
}

interface Ends {
  readonly src: Layout;
  readonly dst: Layout;
}

/** Compiles with the layouts of `ends` if oneDNN is fast with them, with its own choice otherwise. */
function compile(
  what: string,
  ends: Ends,
  weightDims: readonly number[],
  create: (src: number, weights: number, dst: number) => Handle,
  queries: readonly [src: number, weights: number, dst: number],
): ConvolutionKernel {
  const engine = runtime();
  const { api } = engine;
  const any = (dims: readonly number[]) => api.descByTag(dims, "any");
  let { src, dst } = ends;
  let descriptor = create(src.desc, any(weightDims), dst.desc);
  if (isSlow(descriptor)) {
    const unbound = create(any(src.dims), any(weightDims), any(dst.dims));
    if (unbound !== 0) {
      descriptor = unbound;
      src = engine.adopt(api.queryDesc(unbound, queries[0]), src.dims);
      dst = engine.adopt(api.queryDesc(unbound, queries[2]), dst.dims);
    }
  }
  const primitive = engine.compile(descriptor, `${what} of [${src.dims}]`);
  return { primitive, src, weights: engine.adopt(api.queryDesc(descriptor, queries[1]), weightDims), dst };
}

export interface ConvolutionKind {
  readonly hasBias: boolean;
  readonly isTraining: boolean;
  /** What happens to the result as it is written, nothing by default: it is clipped, or added to what is there. The backward plans ignore it. */
  readonly write?: ClipBounds | "sum" | null;
}

/** Attributes of a primitive, and their name in cache keys. */
function writing(write: ConvolutionKind["write"]): { name: string; attributes: () => Handle } {
  const { api } = runtime();
  if (!write) return { name: "", attributes: () => 0 };
  if (write === "sum") return { name: "sum", attributes: () => api.attributes([{ kind: "sum" }]) };
  return { name: `clip ${write.min} ${write.max}`, attributes: () => api.attributes([clipTo(write.min, write.max)]) };
}

/** The plan for a geometry, made once per process. */
export function convolutionPlan(
  x: readonly number[],
  weight: readonly number[],
  options: ConvolutionOptions,
  kind: ConvolutionKind,
): ConvolutionPlan {
  const { top, left, bottom, right } = options.padding;
  const { hasBias, isTraining } = kind;
  const window = `${options.stride}|${top},${left},${bottom},${right}|${options.dilation}`;
  const key = `conv|${x}|${weight}|${window}|${options.groups}|${hasBias}|${isTraining}|${writing(kind.write).name}`;
  return runtime().cached(key, () => makePlan(key, x, weight, options, kind));
}

function makePlan(
  key: string,
  x: readonly number[],
  weight: readonly number[],
  o: ConvolutionOptions,
  { hasBias, isTraining, write }: ConvolutionKind,
): ConvolutionPlan {
  const engine = runtime();
  const { api } = engine;
  const shape = convolutionShape(x, weight, o);
  const [out, inPerGroup, kh, kw] = weight as Shape4;
  const weightDims = o.groups > 1 ? [o.groups, out / o.groups, inPerGroup, kh, kw] : weight;
  const g: WindowGeometry = {
    strides: o.stride,
    dilations: [o.dilation[0] - 1, o.dilation[1] - 1],
    paddingBefore: [o.padding.top, o.padding.left],
    paddingAfter: [o.padding.bottom, o.padding.right],
  };
  // oneDNN's kernels for a first layer read grey and RGB images as they are.
  const isImage = o.groups === 1 && (x[1] === 1 || x[1] === 3);
  const ends: Ends = { src: isImage ? plainLayout(x) : activationLayout(x), dst: activationLayout(shape) };
  const algorithm = isTraining && isWinogradFaster(weight, o) ? "auto" : "direct";
  const bias = hasBias ? engine.layout([out], "a") : null;
  const prop = isTraining ? PROP.training : PROP.inference;
  const attributes = writing(write).attributes();
  const forward = compile(
    "a convolution",
    ends,
    weightDims,
    (src, w, dst) => api.convForward(algorithm, prop, src, w, bias?.desc ?? 0, dst, g, attributes),
    [QUERY.src, QUERY.weights, QUERY.dst],
  );
  const hint = forward.primitive.descriptor;
  return {
    forward,
    plainWeights: plainLayout(weightDims),
    bias,
    key,
    dataGradient: () =>
      engine.cached(`${key}|data`, () =>
        compile("a convolution's data gradient", ends, weightDims, (src, w, dst) => api.convBackwardData(algorithm, src, w, dst, g, hint), [
          QUERY.diffSrc,
          QUERY.weights,
          QUERY.diffDst,
        ]),
      ),
    weightGradient: () =>
      engine.cached(`${key}|weights`, () =>
        compile(
          "a convolution's weight gradient",
          ends,
          weightDims,
          (src, w, dst) => api.convBackwardWeights("direct", src, w, bias?.desc ?? 0, dst, g, hint),
          [QUERY.src, QUERY.diffWeights, QUERY.diffDst],
        ),
      ),
  };
}
