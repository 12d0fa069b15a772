/** @file Weights that make up for channels a layer no longer reads, by least squares on what it read before. */

/** XᵀX over sampled input patches of a layer: size × size, size = channels · kernel cells, in the order of a weight row. */
export interface Gram {
  readonly size: number;
  readonly data: Float64Array;
}

/** Share of the mean diagonal that is added to it: above the rounding of a Gram matrix summed in float32. */
const RIDGE = 1e-4;
/** A pivot below this share of its diagonal entry is rounding: its unknown follows from others and stays 0. */
const SMALLEST_PIVOT = 1e-9;

/** Solves A·X = B in place for a symmetric positive semidefinite A [n, n] and B [n, m], by Cholesky's factorisation. */
function solve(a: Float64Array, n: number, b: Float64Array, m: number): void {
  for (let j = 0; j < n; j++) {
    const diagonal = a[j * n + j]!;
    let isDependent = false;
    for (let i = j; i < n; i++) {
      let sum = a[i * n + j]!;
      for (let k = 0; k < j; k++) sum -= a[i * n + k]! * a[j * n + k]!;
      if (i === j) {
        isDependent = !(sum > SMALLEST_PIVOT * diagonal);
        a[i * n + j] = isDependent ? 1 : Math.sqrt(sum);
      } else a[i * n + j] = isDependent ? 0 : sum / a[j * n + j]!;
    }
    if (isDependent) {
      a.fill(0, j * n, j * n + j);
      b.fill(0, j * m, (j + 1) * m);
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) {
      const factor = a[i * n + k]!;
      if (factor !== 0) for (let c = 0; c < m; c++) b[i * m + c]! -= factor * b[k * m + c]!;
    }
    for (let c = 0; c < m; c++) b[i * m + c]! /= a[i * n + i]!;
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) {
      const factor = a[k * n + i]!;
      if (factor !== 0) for (let c = 0; c < m; c++) b[i * m + c]! -= factor * b[k * m + c]!;
    }
    for (let c = 0; c < m; c++) b[i * m + c]! /= a[i * n + i]!;
  }
}

/**
 * argmin over W' with W'[:, r] = 0 for removed columns r of ‖X·Wᵀ − X·W'ᵀ‖². With K the kept columns and R the removed ones,
 * W'_K = W_K + (G_KK⁻¹ · G_KR · W_Rᵀ)ᵀ, so the inputs are needed through G = XᵀX alone.
 * Paper: He, Zhang and Sun 2017, arXiv:1707.06168, eq. 3 (AMC, section 3.2).
 *
 * @param weight [rows, gram.size]
 * @param isKept per channel; a channel spans `cell` neighbouring columns
 */
export function reconstruct(weight: Float32Array, gram: Gram, isKept: readonly boolean[], cell: number): Float32Array {
  const { size, data } = gram;
  const rows = weight.length / size;
  const columns = (wanted: boolean) => Array.from({ length: size }, (_, i) => i).filter((i) => isKept[Math.floor(i / cell)] === wanted);
  const [kept, removed] = [columns(true), columns(false)];
  const n = kept.length;
  const a = new Float64Array(n * n);
  let trace = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) a[i * n + j] = data[kept[i]! * size + kept[j]!]!;
    trace += a[i * n + i]!;
  }
  for (let i = 0; i < n; i++) a[i * n + i]! += (RIDGE * trace) / n + 1e-12;
  const b = new Float64Array(n * rows);
  for (let i = 0; i < n; i++) {
    for (const column of removed) {
      const g = data[kept[i]! * size + column]!;
      if (g !== 0) for (let r = 0; r < rows; r++) b[i * rows + r]! += g * weight[r * size + column]!;
    }
  }
  solve(a, n, b, rows);
  const result = new Float32Array(weight.length);
  for (let i = 0; i < n; i++) {
    for (let r = 0; r < rows; r++) result[r * size + kept[i]!] = weight[r * size + kept[i]!]! + b[i * rows + r]!;
  }
  return result;
}
