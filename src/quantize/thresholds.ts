/** @file Where to clip before rounding: the threshold c of a distribution for so many codes. */
import { quantile } from "../util/statistics.ts";

export type CalibrationMethod = "max" | "percentile" | "mse" | "kl";
export const CALIBRATION_METHODS = ["max", "percentile", "mse", "kl"] as const satisfies readonly CalibrationMethod[];

export interface ThresholdOptions {
  /** Highest code, ≥ 1: the step is threshold / levels. */
  readonly levels: number;
  readonly method: CalibrationMethod;
  /** Share of the values below the threshold, for `percentile` (default 0.9999). */
  readonly share?: number;
}

/** Candidates of the search for the least squared error, as shares of the largest value. */
const CANDIDATES = 80;

const largest = (values: Float32Array): number => values.reduce((max, v) => Math.max(max, Math.abs(v)), 0);

/** Sum of (v − q(v))² over magnitudes, q rounding to steps of threshold / levels. */
function squaredError(values: Float32Array, threshold: number, levels: number): number {
  const step = threshold / levels;
  const inverse = 1 / step;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const v = Math.abs(values[i]!);
    const error = v - step * Math.min(levels, Math.round(v * inverse));
    sum += error * error;
  }
  return sum;
}

function leastSquares(values: Float32Array, top: number, levels: number): number {
  let [best, least] = [top, Number.POSITIVE_INFINITY];
  for (let i = CANDIDATES; i > 0; i--) {
    const threshold = (top * i) / CANDIDATES;
    const error = squaredError(values, threshold, levels);
    if (error < least) [best, least] = [threshold, error];
  }
  return best;
}

/** `values` at `count` points that divide it evenly. */
function resample(values: Float64Array, count: number): Float64Array {
  if (count === 1) return Float64Array.of(values[0]!);
  return Float64Array.from({ length: count }, (_, i) => {
    const at = (i * (values.length - 1)) / (count - 1);
    const low = Math.min(values.length - 1, Math.floor(at));
    const high = Math.min(values.length - 1, low + 1);
    return values[low]! + (at - low) * (values[high]! - values[low]!);
  });
}

/**
 * The threshold whose cumulative histogram, resampled to as many points as there are codes and back, is nearest to the original's.
 * Source: the published code of HAQ, a symmetrised divergence of cumulative distributions.
 * Deviation: a threshold is never above the largest value.
 */
function leastDivergence(values: Float32Array, top: number, levels: number): number {
  const bins = Math.ceil(Math.sqrt(values.length));
  const codes = levels + 1;
  if (codes + 1 > bins) return top;
  const width = top / bins;
  const cumulative = new Float64Array(bins);
  for (const v of values) cumulative[Math.min(bins - 1, Math.floor(Math.abs(v) / width))]! += 1 / values.length;
  for (let i = 1; i < bins; i++) cumulative[i]! += cumulative[i - 1]!;
  let [best, least] = [top, Number.POSITIVE_INFINITY];
  for (let end = codes + 1; end <= bins; end++) {
    const clipped = cumulative.slice(0, end);
    clipped[end - 1] = 1;
    const coarse = resample(resample(clipped, codes), end);
    let divergence = 0;
    for (let i = 0; i < bins; i++) {
      const [p, q] = [cumulative[i]!, i < end ? coarse[i]! : 1];
      if (p > 0 && q > 0) divergence += (p - q) * Math.log2(p / q);
    }
    if (divergence < least) [best, least] = [Math.min(top, (end + 0.5) * width), divergence];
  }
  return best;
}

/**
 * The clipping threshold c ≥ 0 of values, whose signs do not matter; 0 when all are 0.
 *
 * max: the largest magnitude; percentile: a share of them lies below; mse: least squared error after rounding; kl: nearest
 * distribution.
 */
export function threshold(values: Float32Array, { levels, method, share = 0.9999 }: ThresholdOptions): number {
  const top = largest(values);
  if (top === 0) return 0;
  const methods: Record<CalibrationMethod, () => number> = {
    max: () => top,
    percentile: () => quantile(Array.from(values, Math.abs), share) || top,
    mse: () => leastSquares(values, top, levels),
    kl: () => leastDivergence(values, top, levels),
  };
  return methods[method]();
}
