/** @file Weights of few bits: codes with a step per output channel, signs with a magnitude, or shared values. */
import { highestCode, type QuantizedWeight } from "../graph/quantized-weight.ts";
import type { Weight } from "../graph/types.ts";
import type { Rng } from "../util/rng.ts";
import { kMeans } from "./kmeans.ts";
import { type CalibrationMethod, threshold } from "./thresholds.ts";

/** Keeps a weight tensor on few values while it is trained. */
export interface WeightQuantizer {
  readonly bits: number;
  /** Whether small updates add up in a copy that is not rounded; shared values move by the mean of their weights' updates instead. */
  readonly keepsShadow: boolean;
  /** Writes the quantised form of `weights`. */
  project(weights: Float32Array, into: Float32Array): void;
  /** Of weights that `project` made. */
  encode(projected: Float32Array): QuantizedWeight;
}

const rowsOf = ({ shape, data }: Weight): { rows: number; size: number } => ({ rows: shape[0]!, size: data.length / shape[0]! });

/**
 * q = s · clamp(round(w / s), −n, n), n = 2^(b−1) − 1, with a step s per output channel that stays as the first weights gave it.
 * Straight-through: the gradient passes unchanged. Source: algorithm of HAQ (Wang et al. 2019, eq. 4), per channel.
 */
export function linearQuantizer(weight: Weight, bits: number, method: CalibrationMethod = "mse"): WeightQuantizer {
  const { rows, size } = rowsOf(weight);
  const levels = highestCode(bits);
  const scale = Float32Array.from({ length: rows }, (_, o) => {
    const c = threshold(weight.data.subarray(o * size, (o + 1) * size), { levels, method });
    return c > 0 ? c / levels : 1;
  });
  // odd, and never −0
  const code = (value: number, o: number) => Math.sign(value) * Math.min(levels, Math.round(Math.abs(value) / scale[o]!)) + 0;
  return {
    bits,
    keepsShadow: true,
    project: (weights, into) => {
      for (let o = 0, i = 0; o < rows; o++) for (let end = i + size; i < end; i++) into[i] = code(weights[i]!, o) * scale[o]!;
    },
    encode: (projected) => ({
      shape: weight.shape,
      bits,
      codes: Int16Array.from(projected, (v, i) => code(v, Math.floor(i / size))),
      scale,
      codebook: null,
    }),
  };
}

/**
 * q = sign(w) · mean |w| of the output channel; the least-squares choice for two values ±a.
 * Paper: Rastegari et al. 2016 (XNOR-Net), arXiv:1603.05279, section 3.1.
 */
export function binaryQuantizer(weight: Weight): WeightQuantizer {
  const { rows, size } = rowsOf(weight);
  return {
    bits: 1,
    keepsShadow: true,
    project: (weights, into) => {
      for (let o = 0; o < rows; o++) {
        const row = weights.subarray(o * size, (o + 1) * size);
        const magnitude = Math.fround(row.reduce((sum, v) => sum + Math.abs(v), 0) / size);
        for (let i = 0; i < size; i++) into[o * size + i] = row[i]! < 0 ? -magnitude : magnitude;
      }
    },
    encode: (projected) => ({
      shape: weight.shape,
      bits: 1,
      codes: Int16Array.from(projected, (v) => (v < 0 ? -1 : 1)),
      scale: Float32Array.from({ length: rows }, (_, o) => Math.abs(projected[o * size]!)),
      codebook: null,
    }),
  };
}

/**
 * Every weight takes the mean of its cluster; clusters stay as the first weights gave them, so that training moves the shared values.
 * Paper: Han et al. 2016 (Deep Compression), arXiv:1510.00149, section 3.
 */
export function sharedQuantizer(weight: Weight, bits: number, rng: Rng): WeightQuantizer {
  const { centroids, labels } = kMeans(weight.data, 2 ** bits, rng);
  const counts = new Float64Array(centroids.length);
  for (const label of labels) counts[label]!++;
  return {
    bits,
    keepsShadow: false,
    project: (weights, into) => {
      const sums = new Float64Array(centroids.length);
      for (let i = 0; i < weights.length; i++) sums[labels[i]!]! += weights[i]!;
      const means = sums.map((sum, c) => (counts[c]! > 0 ? sum / counts[c]! : 0));
      for (let i = 0; i < weights.length; i++) into[i] = means[labels[i]!]!;
    },
    encode: (projected) => {
      const codebook = new Float32Array(centroids.length);
      for (let i = 0; i < projected.length; i++) codebook[labels[i]!] = projected[i]!;
      return { shape: weight.shape, bits, codes: Int16Array.from(labels), scale: new Float32Array(weight.shape[0]!).fill(1), codebook };
    },
  };
}

export type WeightScheme = "linear" | "kmeans";

/** The quantizer of a layer's weights. */
export function weightQuantizer(weight: Weight, bits: number, scheme: WeightScheme, method: CalibrationMethod, rng: Rng): WeightQuantizer {
  if (scheme === "kmeans") return sharedQuantizer(weight, bits, rng);
  return bits === 1 ? binaryQuantizer(weight) : linearQuantizer(weight, bits, method);
}
