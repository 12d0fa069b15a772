/**
 * @file Weight gradient of depthwise convolutions with kernels above 3×3, composed of 3×3 ones.
 *
 * oneDNN compiles depthwise weight gradients for 3×3 kernels only and falls back to a matrix product 20 to 60 times slower for
 * 5×5 and 7×7. A K×K gradient is a mosaic of 3×3 gradients against the input shifted by the tile's offset. In row-major planes
 * a shift is a pointer offset: the input is copied once into zero-padded planes, the output's gradient once into planes padded
 * on the right and below with zeros, so that what a shifted read sees beyond a row's end is multiplied by zero.
 */
import { ARG, PROP, QUERY, type WindowGeometry } from "../../onednn/api.ts";
import { type Block, floats } from "../../onednn/memory.ts";
import { type Layout, runtime } from "../../onednn/runtime.ts";
import { boxLayout, copy, toLayout } from "../layout.ts";
import { addInto } from "../tape.ts";
import { activationLayout, empty, free, plainLayout, type Tensor, valuesOf } from "../tensor.ts";
import type { ConvolutionOptions } from "./convolution-plan.ts";

/** Gradient [C, 1, K, K] for the input and the output's gradient, both in the activation layout. */
export type DepthwiseWeightGradient = (x: Tensor, dy: Tensor) => Tensor;

const TILE = 3;
/** Padded copies are made for this many bytes of images at a time, so that they stay in cache. */
const CHUNK_BYTES = 3 << 20;

/** Offsets of 3-wide tiles that cover k cells; the last one may overlap. */
export function tileOffsets(k: number): number[] {
  const offsets: number[] = [];
  for (let at = 0; at + TILE < k; at += TILE) offsets.push(at);
  return [...offsets, k - TILE];
}

/** null when the convolution is not depthwise, or is one that oneDNN handles well itself. */
export function createDepthwiseWeightGradient(
  x: readonly number[],
  weight: readonly number[],
  dy: readonly number[],
  { stride, padding, dilation, groups }: ConvolutionOptions,
): DepthwiseWeightGradient | null {
  const engine = runtime();
  const [n, c, h, w] = x as [number, number, number, number];
  const [kh, kw] = [weight[2]!, weight[3]!];
  const isDepthwise = groups === c && weight[0] === c && groups > 1;
  if (!isDepthwise || dilation[0] !== 1 || dilation[1] !== 1 || kh < TILE || kw < TILE || (kh === TILE && kw === TILE)) return null;
  const [ho, wo] = [dy[2]!, dy[3]!];
  const padded = { h: (ho - 1) * stride[0] + kh, w: (wo - 1) * stride[1] + kw };
  const out = { h: Math.floor((padded.h - TILE) / stride[0]) + 1, w: Math.floor((padded.w - TILE) / stride[1]) + 1 };
  const block = engine.channelBlock;
  const channels = Math.ceil(c / block) * block;
  const images = Math.max(1, Math.min(n, Math.floor(CHUNK_BYTES / (4 * channels * (padded.h * padded.w + out.h * out.w)))));
  const cells = { h: Math.min(h, padded.h - padding.top), w: Math.min(w, padded.w - padding.left) };

  const chunk = (count: number) => {
    const source = activationLayout([count, c, padded.h, padded.w]);
    const gradient = activationLayout([count, c, out.h, out.w]);
    const geometry: WindowGeometry = { strides: stride, dilations: [0, 0], paddingBefore: [0, 0], paddingAfter: [0, 0] };
    const any = engine.api.descByTag([c, 1, 1, TILE, TILE], "any");
    const hint = engine.api.convForward("direct", PROP.training, source.desc, any, 0, gradient.desc, geometry);
    const descriptor = engine.api.convBackwardWeights("direct", source.desc, any, 0, gradient.desc, geometry, hint);
    if (descriptor === 0) return null;
    return {
      count,
      source,
      gradient,
      sourceBox: boxLayout(source, [count, c, cells.h, cells.w], [0, 0, padding.top, padding.left]) as Layout,
      gradientBox: boxLayout(gradient, [count, c, ho, wo], [0, 0, 0, 0]) as Layout,
      primitive: engine.compile(descriptor, "a depthwise weight gradient"),
      weights: engine.adopt(engine.api.queryDesc(descriptor, QUERY.diffWeights), [c, 1, 1, TILE, TILE]),
    };
  };
  const full = chunk(images);
  const rest = n % images === 0 ? null : chunk(n % images);
  if (rest && rest.weights !== full?.weights) return null;
  if (!full || engine.api.implementation(full.primitive.descriptor).includes("ref")) return null;

  const slackBytes = ((kh - TILE) * padded.w + (kw - TILE)) * block * 4;
  const zeroed = (bytes: number): Block => {
    const memory = engine.pool.allocate(bytes);
    floats(memory).fill(0);
    return memory;
  };
  // Kept for good: their zero borders are never written. Chunks of other sizes put their borders elsewhere, hence one pair each.
  const scratch = (part: NonNullable<typeof full>) =>
    engine.cached(`depthwise-scratch|${part.source.id}|${part.sourceBox.id}|${part.gradientBox.id}|${slackBytes}`, () => ({
      source: zeroed(part.source.bytes + slackBytes),
      gradient: zeroed(part.gradient.bytes),
    }));
  const xBox = (part: NonNullable<typeof full>, first: number) =>
    boxLayout(activationLayout(x), [part.count, c, cells.h, cells.w], [first, 0, 0, 0]) as Layout;
  const dyBox = (part: NonNullable<typeof full>, first: number) =>
    boxLayout(activationLayout(dy), [part.count, c, ho, wo], [first, 0, 0, 0]) as Layout;
  const tiles = tileOffsets(kh).flatMap((top) => tileOffsets(kw).map((left) => ({ top, left })));
  const tileLayout = plainLayout([c, 1, 1, TILE, TILE]);

  return (xs, dys) => {
    const sums: Tensor[] = [];
    for (let first = 0; first < n; first += images) {
      const part = first + images <= n ? full : rest!;
      const memory = scratch(part);
      copy(xs, { ...xs, block: memory.source }, xBox(part, first), part.sourceBox);
      copy(dys, { ...dys, block: memory.gradient }, dyBox(part, first), part.gradientBox);
      for (const [t, { top, left }] of tiles.entries()) {
        const dw = empty(part.weights);
        const offset = (top * padded.w + left) * block * 4;
        engine.execute(
          part.primitive,
          [ARG.src, part.source, engine.pool.slice(memory.source, offset)],
          [ARG.diffDst, part.gradient, memory.gradient],
          [ARG.diffWeights, part.weights, dw.block],
        );
        if (first === 0) sums.push(dw);
        else {
          addInto(sums[t]!, dw);
          free(dw);
        }
      }
    }
    const result = empty(plainLayout(weight));
    const into = valuesOf(result).fill(0);
    for (const [t, { top, left }] of tiles.entries()) {
      const tile = toLayout(sums[t]!, tileLayout);
      addTile(valuesOf(tile), into, c, kh, kw, top, left);
      if (tile !== sums[t]) free(tile);
      free(sums[t]!);
    }
    return result;
  };
}

/** Adds the cells of one tile that no earlier tile covers. */
function addTile(tile: Float32Array, into: Float32Array, channels: number, kh: number, kw: number, top: number, left: number): void {
  const skipRows = top % TILE === 0 ? 0 : TILE - (top % TILE);
  const skipColumns = left % TILE === 0 ? 0 : TILE - (left % TILE);
  for (let c = 0; c < channels; c++) {
    for (let i = skipRows; i < TILE; i++) {
      for (let j = skipColumns; j < TILE; j++) {
        const at = (c * kh + top + i) * kw + left + j;
        into[at] = into[at]! + tile[(c * TILE + i) * TILE + j]!;
      }
    }
  }
}
