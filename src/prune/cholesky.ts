/** @file Symmetric positive semidefinite systems by Cholesky's factorisation: exactly, and in blocks on the engine. */
import { runtime } from "../onednn/runtime.ts";
import { createScope, fromArray, valuesOf } from "../tensor/tensor.ts";

/** A pivot below this share of its diagonal entry is rounding: its unknown follows from others and stays 0. */
const SMALLEST_PIVOT = 1e-9;

/** Solves A·X = B in place for a symmetric positive semidefinite A [n, n] and B [n, m], by Cholesky's factorisation. */
export function solveExactly(a: Float64Array, n: number, b: Float64Array, m: number): void {
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

/** Columns that are factorised at a time. */
const BLOCK = 64;
/** As `SMALLEST_PIVOT`, for sums in float32. */
const SMALLEST_PIVOT_FLOAT32 = 1e-6;
const BYTES = 4;

/**
 * Solves A·X = B as `solveExactly` does, in float32 and nearly all of it as matrix products of the engine: for large systems.
 * @param a [n, n], not changed @param b [n, m]
 * @returns X [n, m]
 */
export function solveBlocked(a: Float32Array, n: number, b: Float32Array, m: number): Float32Array {
  using _scope = createScope();
  const { sgemm } = runtime().api;
  const [matrix, result, part] = [fromArray([n, n], a), fromArray([n, m], b), fromArray([n * BLOCK], new Float32Array(n * BLOCK))];
  const right = fromArray([BLOCK * m], new Float32Array(BLOCK * m));
  const [l, x, negative, negativeRight] = [matrix, result, part, right].map(valuesOf) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const at = (row: number, column: number) => matrix.block.address + BYTES * (row * n + column);
  const rowOf = (row: number) => result.block.address + BYTES * row * m;
  const blocks = Array.from({ length: Math.ceil(n / BLOCK) }, (_, i): readonly [number, number] => [
    i * BLOCK,
    Math.min(n, (i + 1) * BLOCK),
  ]);
  const diagonal = Array.from({ length: n }, (_, i) => a[i * n + i]!);
  const isDependent = new Array<boolean>(n).fill(false);

  for (const [from, to] of blocks) {
    for (let i = from; i < n; i++) {
      for (let j = from; j < Math.min(to, i + 1); j++) {
        let sum = l[i * n + j]!;
        for (let k = from; k < j; k++) sum -= l[i * n + k]! * l[j * n + k]!;
        if (i === j) {
          isDependent[j] = !(sum > SMALLEST_PIVOT_FLOAT32 * diagonal[j]!);
          l[i * n + j] = isDependent[j] ? 1 : Math.sqrt(sum);
          if (isDependent[j]) l.fill(0, j * n, j * n + j);
        } else l[i * n + j] = isDependent[j] ? 0 : sum / l[j * n + j]!;
      }
    }
    const [rest, width] = [n - to, to - from];
    if (rest === 0) continue;
    for (let i = 0; i < rest; i++) for (let k = 0; k < width; k++) negative[i * width + k] = -l[(to + i) * n + from + k]!;
    sgemm(false, true, rest, rest, width, part.block.address, width, at(to, from), n, 1, at(to, to), n);
  }
  /** Within a block, in JavaScript: rows i take away `factor(i, k)` times what row k came to. */
  const substitute = (i: number, others: Iterable<number>, factor: (k: number) => number) => {
    for (const k of others) {
      const f = factor(k);
      if (f !== 0) for (let c = 0; c < m; c++) x[i * m + c]! -= f * x[k * m + c]!;
    }
    const pivot = l[i * n + i]!;
    for (let c = 0; c < m; c++) x[i * m + c] = isDependent[i] ? 0 : x[i * m + c]! / pivot;
  };
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const negate = (from: number, to: number) => {
    for (let i = 0; i < (to - from) * m; i++) negativeRight[i] = -x[from * m + i]!;
  };
  for (const [from, to] of blocks) {
    for (let i = from; i < to; i++) substitute(i, range(from, i), (k) => l[i * n + k]!);
    if (to === n) continue;
    negate(from, to);
    sgemm(false, false, n - to, m, to - from, at(to, from), n, right.block.address, m, 1, rowOf(to), m);
  }
  for (const [from, to] of blocks.reverse()) {
    for (let i = to - 1; i >= from; i--) substitute(i, range(i + 1, to), (k) => l[k * n + i]!);
    if (from === 0) continue;
    negate(from, to);
    sgemm(true, false, from, m, to - from, at(from, 0), n, right.block.address, m, 1, rowOf(0), m);
  }
  return x.slice();
}
