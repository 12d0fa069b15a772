/** @file Naive float64 implementations of the engine's ops, forward and backward, one loop nest each. */
import { map, type Ref, zeros } from "./array.ts";

export interface Padding {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}
export interface ConvAttrs {
  readonly stride: readonly [number, number];
  readonly padding: Padding;
  readonly dilation: readonly [number, number];
  readonly groups: number;
}
type Dims = readonly [number, number, number, number];
const at = ([, c, h, w]: Dims, n: number, ci: number, y: number, x: number) => ((n * c + ci) * h + y) * w + x;
const extent = (size: number, k: number, s: number, pads: number, d = 1) => Math.floor((size + pads - d * (k - 1) - 1) / s) + 1;

/** Calls `visit(output index, input index, weight index)` for every product of a convolution. */
function eachProduct(x: Ref, w: Ref, a: ConvAttrs, visit: (y: number, x: number, w: number) => void): Dims {
  const xd = x.shape as unknown as Dims;
  const wd = w.shape as unknown as Dims;
  const [n, , h, width] = xd;
  const [o, i, kh, kw] = wd;
  const out: Dims = [
    n,
    o,
    extent(h, kh, a.stride[0], a.padding.top + a.padding.bottom, a.dilation[0]),
    extent(width, kw, a.stride[1], a.padding.left + a.padding.right, a.dilation[1]),
  ];
  for (let b = 0; b < n; b++)
    for (let oc = 0; oc < o; oc++)
      for (let oy = 0; oy < out[2]; oy++)
        for (let ox = 0; ox < out[3]; ox++)
          for (let ic = 0; ic < i; ic++)
            for (let u = 0; u < kh; u++)
              for (let v = 0; v < kw; v++) {
                const iy = oy * a.stride[0] + u * a.dilation[0] - a.padding.top;
                const ix = ox * a.stride[1] + v * a.dilation[1] - a.padding.left;
                if (iy < 0 || iy >= h || ix < 0 || ix >= width) continue;
                const channel = Math.floor(oc / (o / a.groups)) * i + ic;
                visit(at(out, b, oc, oy, ox), at(xd, b, channel, iy, ix), at(wd, oc, ic, u, v));
              }
  return out;
}

export function conv(x: Ref, w: Ref, bias: Ref | null, a: ConvAttrs): Ref {
  const shape = eachProduct(x, w, a, () => {});
  const y = zeros(shape);
  eachProduct(x, w, a, (yi, xi, wi) => {
    y.data[yi]! += x.data[xi]! * w.data[wi]!;
  });
  const plane = shape[2] * shape[3];
  return bias ? map(y, (value, i) => value + bias.data[Math.floor(i / plane) % shape[1]]!) : y;
}

export function convBackward(x: Ref, w: Ref, a: ConvAttrs, dy: Ref): { dx: Ref; dw: Ref; db: Ref } {
  const [dx, dw, db] = [zeros(x.shape), zeros(w.shape), zeros([w.shape[0]!])];
  const shape = eachProduct(x, w, a, (yi, xi, wi) => {
    dx.data[xi]! += dy.data[yi]! * w.data[wi]!;
    dw.data[wi]! += dy.data[yi]! * x.data[xi]!;
  });
  for (const [i, g] of dy.data.entries()) db.data[Math.floor(i / (shape[2] * shape[3])) % shape[1]]! += g;
  return { dx, dw, db };
}

const channelOf = ([, c, h, w]: readonly number[], i: number) => Math.floor(i / (h! * w!)) % c!;

export function channelStatistics(x: Ref): { mean: Float64Array; variance: Float64Array } {
  const [n, c, h, w] = x.shape as unknown as Dims;
  const count = n * h * w;
  const [mean, variance] = [new Float64Array(c), new Float64Array(c)];
  for (const [i, v] of x.data.entries()) mean[channelOf(x.shape, i)]! += v / count;
  for (const [i, v] of x.data.entries()) variance[channelOf(x.shape, i)]! += (v - mean[channelOf(x.shape, i)]!) ** 2 / count;
  return { mean, variance };
}

/** With `statistics` given they are constants (evaluation), otherwise the batch's own. */
export function batchNorm(x: Ref, scale: Ref, shift: Ref, epsilon: number, statistics = channelStatistics(x)): Ref {
  return map(x, (v, i) => {
    const c = channelOf(x.shape, i);
    return (scale.data[c]! * (v - statistics.mean[c]!)) / Math.sqrt(statistics.variance[c]! + epsilon) + shift.data[c]!;
  });
}

export function batchNormBackward(x: Ref, scale: Ref, epsilon: number, dy: Ref, fixed?: { mean: Float64Array; variance: Float64Array }) {
  const { mean, variance } = fixed ?? channelStatistics(x);
  const count = x.data.length / x.shape[1]!;
  const [dscale, dshift] = [zeros(scale.shape), zeros(scale.shape)];
  const normal = map(x, (v, i) => (v - mean[channelOf(x.shape, i)]!) / Math.sqrt(variance[channelOf(x.shape, i)]! + epsilon));
  for (const [i, g] of dy.data.entries()) {
    const c = channelOf(x.shape, i);
    dscale.data[c]! += g * normal.data[i]!;
    dshift.data[c]! += g;
  }
  const dx = map(x, (_, i) => {
    const c = channelOf(x.shape, i);
    const factor = scale.data[c]! / Math.sqrt(variance[c]! + epsilon);
    return fixed ? factor * dy.data[i]! : factor * (dy.data[i]! - dshift.data[c]! / count - (normal.data[i]! * dscale.data[c]!) / count);
  });
  return { dx, dscale, dshift };
}

/** Element-wise functions and their derivatives. */
export const elementWise = {
  relu: { f: (x: number) => Math.max(0, x), d: (x: number) => (x > 0 ? 1 : 0), kinks: [0] },
  relu6: { f: (x: number) => Math.min(6, Math.max(0, x)), d: (x: number) => (x > 0 && x < 6 ? 1 : 0), kinks: [0, 6] },
  leakyRelu: { f: (x: number) => (x > 0 ? x : 0.1 * x), d: (x: number) => (x > 0 ? 1 : 0.1), kinks: [0] },
  sigmoid: { f: (x: number) => 1 / (1 + Math.exp(-x)), d: (x: number) => Math.exp(-x) / (1 + Math.exp(-x)) ** 2, kinks: [] },
  hardSwish: {
    f: (x: number) => (x * Math.min(6, Math.max(0, x + 3))) / 6,
    d: (x: number) => (x < -3 ? 0 : x > 3 ? 1 : (2 * x + 3) / 6),
    kinks: [-3, 3],
  },
  hardSigmoid: { f: (x: number) => Math.min(1, Math.max(0, x / 6 + 0.5)), d: (x: number) => (x > -3 && x < 3 ? 1 / 6 : 0), kinks: [-3, 3] },
} as const;

export interface PoolAttrs {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: Padding;
}

/** The cells inside the input of each window: [output index, input indices]. */
function windows(x: Ref, a: PoolAttrs): { shape: Dims; cells: (readonly number[])[] } {
  const xd = x.shape as unknown as Dims;
  const [n, c, h, w] = xd;
  const shape: Dims = [
    n,
    c,
    extent(h, a.kernel[0], a.stride[0], a.padding.top + a.padding.bottom),
    extent(w, a.kernel[1], a.stride[1], a.padding.left + a.padding.right),
  ];
  const cells: number[][] = [];
  for (let b = 0; b < n; b++)
    for (let ci = 0; ci < c; ci++)
      for (let oy = 0; oy < shape[2]; oy++)
        for (let ox = 0; ox < shape[3]; ox++) {
          const inside: number[] = [];
          for (let u = 0; u < a.kernel[0]; u++)
            for (let v = 0; v < a.kernel[1]; v++) {
              const [y, xx] = [oy * a.stride[0] + u - a.padding.top, ox * a.stride[1] + v - a.padding.left];
              if (y >= 0 && y < h && xx >= 0 && xx < w) inside.push(at(xd, b, ci, y, xx));
            }
          cells.push(inside);
        }
  return { shape, cells };
}

export function maxPool(x: Ref, a: PoolAttrs): Ref {
  const { shape, cells } = windows(x, a);
  return map(zeros(shape), (_, i) => Math.max(...cells[i]!.map((j) => x.data[j]!)));
}
export function maxPoolBackward(x: Ref, a: PoolAttrs, dy: Ref): Ref {
  const dx = zeros(x.shape);
  for (const [i, inside] of windows(x, a).cells.entries())
    dx.data[inside.reduce((best, j) => (x.data[j]! > x.data[best]! ? j : best))]! += dy.data[i]!;
  return dx;
}
const divisor = (inside: readonly number[], a: PoolAttrs, countsPadding: boolean) =>
  countsPadding ? a.kernel[0] * a.kernel[1] : inside.length;
export function averagePool(x: Ref, a: PoolAttrs, countsPadding: boolean): Ref {
  const { shape, cells } = windows(x, a);
  return map(zeros(shape), (_, i) => cells[i]!.reduce((sum, j) => sum + x.data[j]!, 0) / divisor(cells[i]!, a, countsPadding));
}
export function averagePoolBackward(x: Ref, a: PoolAttrs, countsPadding: boolean, dy: Ref): Ref {
  const dx = zeros(x.shape);
  for (const [i, inside] of windows(x, a).cells.entries())
    for (const j of inside) dx.data[j]! += dy.data[i]! / divisor(inside, a, countsPadding);
  return dx;
}

export function linear(x: Ref, w: Ref, b: Ref): Ref {
  const [n, i, o] = [x.shape[0]!, x.shape[1]!, w.shape[0]!];
  return map(zeros([n, o]), (_, at) => {
    const [row, column] = [Math.floor(at / o), at % o];
    let sum = b.data[column]!;
    for (let k = 0; k < i; k++) sum += x.data[row * i + k]! * w.data[column * i + k]!;
    return sum;
  });
}
export function linearBackward(x: Ref, w: Ref, dy: Ref): { dx: Ref; dw: Ref; db: Ref } {
  const [i, o] = [x.shape[1]!, w.shape[0]!];
  const [dx, dw, db] = [zeros(x.shape), zeros(w.shape), zeros([o])];
  for (const [at, g] of dy.data.entries()) {
    const [row, column] = [Math.floor(at / o), at % o];
    db.data[column]! += g;
    for (let k = 0; k < i; k++) {
      dx.data[row * i + k]! += g * w.data[column * i + k]!;
      dw.data[column * i + k]! += g * x.data[row * i + k]!;
    }
  }
  return { dx, dw, db };
}

/** Mean cross-entropy for targets [N, K] that may sum to anything, and its gradient. */
export function crossEntropy(logits: Ref, targets: Ref): { loss: number; gradient: Ref } {
  const [n, k] = logits.shape as readonly [number, number];
  const gradient = zeros(logits.shape);
  let loss = 0;
  for (let i = 0; i < n; i++) {
    const row = logits.data.subarray(i * k, (i + 1) * k);
    const log = Math.log(row.reduce((sum, z) => sum + Math.exp(z), 0));
    const total = targets.data.subarray(i * k, (i + 1) * k).reduce((sum, t) => sum + t, 0);
    for (let j = 0; j < k; j++) {
      const t = targets.data[i * k + j]!;
      loss -= (t * (row[j]! - log)) / n;
      gradient.data[i * k + j] = (Math.exp(row[j]! - log) * total - t) / n;
    }
  }
  return { loss, gradient };
}
