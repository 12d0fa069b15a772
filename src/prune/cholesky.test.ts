import { expect, test } from "vitest";
import { createRng } from "../util/rng.ts";
import { solveBlocked, solveExactly } from "./cholesky.ts";

/** XᵀX of positive, correlated samples, as features behind a ReLU are, with a little on the diagonal. */
function gramOf(n: number, samples: number, column: (x: Float64Array) => void = () => {}): Float64Array {
  const rng = createRng(n);
  const a = new Float64Array(n * n);
  for (let s = 0; s < samples; s++) {
    const common = rng.normal();
    const x = Float64Array.from({ length: n }, () => Math.max(0, common + rng.normal()));
    column(x);
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) a[i * n + j]! += x[i]! * x[j]!;
  }
  return a;
}

/** ‖A·X - B‖ / ‖B‖. */
function residual(a: ArrayLike<number>, x: ArrayLike<number>, b: ArrayLike<number>, n: number, m: number): number {
  let [error, size] = [0, 0];
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < m; c++) {
      let sum = -b[i * m + c]!;
      for (let k = 0; k < n; k++) sum += a[i * n + k]! * x[k * m + c]!;
      error += sum * sum;
      size += b[i * m + c]! ** 2;
    }
  }
  return Math.sqrt(error / size);
}

test.each([
  [1, 1],
  [63, 3],
  [64, 3],
  [65, 3],
  [150, 7],
  [256, 2],
])("%i unknowns, %i right sides: blocks in float32 solve what float64 solves", (n, m) => {
  const a = gramOf(n, 2 * n);
  for (let i = 0; i < n; i++) a[i * n + i]! += 0.01 * a[i * n + i]!;
  const rng = createRng(m);
  const b = Float64Array.from({ length: n * m }, () => rng.normal());
  const exact = b.slice();
  solveExactly(a.slice(), n, exact, m);
  const blocked = solveBlocked(Float32Array.from(a), n, Float32Array.from(b), m);
  expect(residual(a, exact, b, n, m)).toBeLessThan(1e-9);
  expect(residual(a, blocked, b, n, m)).toBeLessThan(1e-3);
});

test.each(["exactly", "in blocks"])("%s: an unknown that follows from others, or from none, stays 0", (how) => {
  const [n, m] = [100, 2];
  const a = gramOf(n, 300, (x) => {
    x[80] = x[3]!;
    x[90] = 0;
  });
  const wanted = Float64Array.from({ length: n * m }, (_, i) => (i >= 80 * m ? 0 : Math.cos(i)));
  const b = new Float64Array(n * m);
  for (let i = 0; i < n; i++) for (let c = 0; c < m; c++) for (let k = 0; k < n; k++) b[i * m + c]! += a[i * n + k]! * wanted[k * m + c]!;
  const x = how === "exactly" ? b.slice() : solveBlocked(Float32Array.from(a), n, Float32Array.from(b), m);
  if (how === "exactly") solveExactly(a.slice(), n, x as Float64Array, m);
  for (const row of [80, 90]) for (let c = 0; c < m; c++) expect(x[row * m + c]).toBe(0);
  for (const [i, value] of wanted.entries()) expect(Math.abs(x[i]! - value)).toBeLessThan(0.02);
});
