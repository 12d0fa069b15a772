/** @file Weights that make up for channels a layer no longer reads, by least squares on what it read before. */
import { runtime } from "../onednn/runtime.ts";
import { createScope, empty, fromArray, plainLayout, valuesOf } from "../tensor/tensor.ts";
import { solveBlocked, solveExactly } from "./cholesky.ts";

/** XᵀX over sampled input patches of a layer: size × size, size = channels · kernel cells, in the order of a weight row. */
export interface Gram {
  readonly size: number;
  readonly data: Float64Array;
}

/** Share of the mean diagonal that is added to it: above the rounding of a Gram matrix summed in float32. */
const RIDGE = 1e-4;
/** Unknowns up to which the systems are solved in float64, in JavaScript; the time grows with their cube. */
const MOST_SOLVED_EXACTLY = 640;

/** What is added to the diagonal. */
function ridge({ size, data }: Gram, kept: readonly number[]): number {
  let trace = 0;
  for (const column of kept) trace += data[column * size + column]!;
  return (RIDGE * trace) / kept.length + 1e-12;
}

/** G_KK⁻¹ · G_KR · W_Rᵀ, [kept, rows]. */
type Correction = (weight: Float32Array, gram: Gram, kept: readonly number[], removed: readonly number[]) => ArrayLike<number>;

const correctionExact: Correction = (weight, gram, kept, removed) => {
  const { size, data } = gram;
  const [n, rows] = [kept.length, weight.length / size];
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) a[i * n + j] = data[kept[i]! * size + kept[j]!]!;
  const added = ridge(gram, kept);
  for (let i = 0; i < n; i++) a[i * n + i]! += added;
  const b = new Float64Array(n * rows);
  for (let i = 0; i < n; i++) {
    for (const column of removed) {
      const g = data[kept[i]! * size + column]!;
      if (g !== 0) for (let r = 0; r < rows; r++) b[i * rows + r]! += g * weight[r * size + column]!;
    }
  }
  solveExactly(a, n, b, rows);
  return b;
};

const correctionBlocked: Correction = (weight, gram, kept, removed) => {
  const { size, data } = gram;
  const [n, rows] = [kept.length, weight.length / size];
  const pick = (columns: readonly number[]) => {
    const picked = new Float32Array(n * columns.length);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < columns.length; j++) picked[i * columns.length + j] = data[kept[i]! * size + columns[j]!]!;
    return picked;
  };
  const a = pick(kept);
  const added = ridge(gram, kept);
  for (let i = 0; i < n; i++) a[i * n + i]! += added;
  const lost = new Float32Array(rows * removed.length);
  for (let r = 0; r < rows; r++) for (let j = 0; j < removed.length; j++) lost[r * removed.length + j] = weight[r * size + removed[j]!]!;
  return solveBlocked(a, n, multiplyTransposed(pick(removed), lost, removed.length), rows);
};

/** A·Bᵀ of A [m, k] and B [n, k]. */
function multiplyTransposed(a: Float32Array, b: Float32Array, k: number): Float32Array {
  using _scope = createScope();
  const [m, n] = [a.length / k, b.length / k];
  const [left, right, product] = [fromArray([m, k], a), fromArray([n, k], b), empty(plainLayout([m, n]))];
  runtime().api.sgemm(false, true, m, n, k, left.block.address, k, right.block.address, k, 0, product.block.address, n);
  return valuesOf(product).slice();
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
  const { size } = gram;
  const rows = weight.length / size;
  const columns = (wanted: boolean) => Array.from({ length: size }, (_, i) => i).filter((i) => isKept[Math.floor(i / cell)] === wanted);
  const [kept, removed] = [columns(true), columns(false)];
  const n = kept.length;
  const correction =
    n > MOST_SOLVED_EXACTLY ? correctionBlocked(weight, gram, kept, removed) : correctionExact(weight, gram, kept, removed);
  const result = new Float32Array(weight.length);
  for (let i = 0; i < n; i++) {
    for (let r = 0; r < rows; r++) result[r * size + kept[i]!] = weight[r * size + kept[i]!]! + correction[i * rows + r]!;
  }
  return result;
}
