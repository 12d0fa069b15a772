/** @file Ops on rows of features: reshape, linear, dropout, softmax. */
import { assertShape } from "../../errors.ts";
import { runtime } from "../../onednn/runtime.ts";
import type { Rng } from "../../util/rng.ts";
import { toPlain } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { describe, elements, empty, free, plainLayout, type Tensor, valuesOf, view } from "../tensor.ts";
import { plain } from "./combine.ts";

/** The same numbers in row-major order under another shape [N, …]. @throws AppError SHAPE when the counts differ */
export function reshape(tape: Tape | null, x: Tensor, shape: readonly number[]): Tensor {
  assertShape(elements(shape) === elements(x.shape), () => `reshape: [${shape}] must have as many elements as x, got ${describe(x)}`);
  const rows = plain(tape, x);
  const y = view(rows, shape, plainLayout(shape), tape !== null && x.requiresGrad);
  if (tape && y.requiresGrad) {
    tape.record({ inputs: [rows], output: y, saved: [], backward: (dy) => [view(dy, x.shape, plainLayout(x.shape))] });
  } else if (rows !== x) free(rows);
  return y;
}

/** [N, C, H, W] → [N, C·H·W]. */
export const flatten = (tape: Tape | null, x: Tensor): Tensor => reshape(tape, x, [x.shape[0]!, elements(x.shape.slice(1))]);

/**
 * y = x·wᵀ + b. x [N, I], weight [O, I], bias [O] or null → [N, O]; dx = dy·w, dw = dyᵀ·x, db = Σₙ dy.
 * @throws AppError SHAPE
 */
export function linear(tape: Tape | null, x: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  assertShape(
    x.shape.length === 2 && weight.shape.length === 2 && x.shape[1] === weight.shape[1],
    () => `linear: weight must be [O,I] with the I of x ${describe(x)}, got ${describe(weight)}`,
  );
  const [n, inputs] = x.shape as [number, number];
  const outputs = weight.shape[0]!;
  assertShape(bias === null || bias.shape[0] === outputs, () => `linear: bias must be f32[${outputs}], got ${describe(bias!)}`);
  const { api } = runtime();
  const rows = toPlain(x);
  const y = empty(plainLayout([n, outputs]), { requiresGrad: tape !== null && (x.requiresGrad || weight.requiresGrad) });
  const values = valuesOf(y);
  if (bias) for (let i = 0; i < n; i++) values.set(valuesOf(bias), i * outputs);
  api.sgemm(
    false,
    true,
    n,
    outputs,
    inputs,
    rows.block.address,
    inputs,
    weight.block.address,
    inputs,
    bias ? 1 : 0,
    y.block.address,
    outputs,
  );
  if (!tape || !y.requiresGrad) return y;
  tape.record({
    inputs: bias ? [x, weight, bias] : [x, weight],
    output: y,
    saved: rows === x ? [] : [rows],
    backward: (dy) => {
      const dx = x.requiresGrad ? empty(plainLayout([n, inputs])) : null;
      if (dx)
        api.sgemm(false, false, n, inputs, outputs, dy.block.address, outputs, weight.block.address, inputs, 0, dx.block.address, inputs);
      const dw = empty(plainLayout([outputs, inputs]));
      api.sgemm(true, false, outputs, inputs, n, dy.block.address, outputs, rows.block.address, inputs, 0, dw.block.address, inputs);
      if (!bias) return [dx, dw];
      return [dx, dw, columnSums(dy, n, outputs)];
    },
  });
  return y;
}

function columnSums(dy: Tensor, rows: number, columns: number): Tensor {
  const result = empty(plainLayout([columns]));
  const [sums, values] = [valuesOf(result).fill(0), valuesOf(dy)];
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) sums[j] = sums[j]! + values[i * columns + j]!;
  return result;
}

/** In training zeroes each number with probability `rate` and scales the others by 1/(1 − rate). */
export function dropout(tape: Tape | null, x: Tensor, rate: number, rng: Rng): Tensor {
  const rows = plain(tape, x);
  const y = empty(rows.layout, { shape: x.shape, requiresGrad: tape !== null && x.requiresGrad });
  const [from, to] = [valuesOf(rows), valuesOf(y)];
  const mask = new Float32Array(from.length);
  for (let i = 0; i < mask.length; i++) mask[i] = rng.uniform() < rate ? 0 : 1 / (1 - rate);
  for (let i = 0; i < mask.length; i++) to[i] = from[i]! * mask[i]!;
  if (tape && y.requiresGrad) {
    tape.record({
      inputs: [rows],
      output: y,
      saved: [],
      backward: (dy) => {
        const dx = empty(rows.layout, { shape: x.shape });
        const [grad, source] = [valuesOf(dx), valuesOf(dy)];
        for (let i = 0; i < mask.length; i++) grad[i] = source[i]! * mask[i]!;
        return [dx];
      },
    });
  }
  return y;
}

/** exp(x) / Σ exp(x) of each row of [N, F]; inside a training graph use the cross-entropy loss instead, which needs logits. */
export function softmax(tape: Tape | null, x: Tensor): Tensor {
  const rows = plain(tape, x);
  const [n, classes] = x.shape as [number, number];
  const y = empty(rows.layout, { shape: x.shape, requiresGrad: tape !== null && x.requiresGrad });
  const [from, to] = [valuesOf(rows), valuesOf(y)];
  for (let i = 0; i < n; i++) softmaxRow(from, to, i * classes, classes);
  if (tape && y.requiresGrad) {
    tape.record({
      inputs: [rows],
      output: y,
      saved: [],
      backward: (dy) => {
        const dx = empty(rows.layout, { shape: x.shape });
        const [grad, up] = [valuesOf(dx), valuesOf(dy)];
        for (let i = 0; i < n; i++) {
          let dot = 0;
          for (let j = i * classes; j < (i + 1) * classes; j++) dot += up[j]! * to[j]!;
          for (let j = i * classes; j < (i + 1) * classes; j++) grad[j] = to[j]! * (up[j]! - dot);
        }
        return [dx];
      },
    });
  }
  return y;
}

/** Softmax of `count` numbers from `at`, computed in float64. */
export function softmaxRow(from: Float32Array, to: Float32Array | Float64Array, at: number, count: number): void {
  let max = Number.NEGATIVE_INFINITY;
  for (let j = at; j < at + count; j++) max = Math.max(max, from[j]!);
  let total = 0;
  for (let j = at; j < at + count; j++) total += Math.exp(from[j]! - max);
  for (let j = at; j < at + count; j++) to[j] = Math.exp(from[j]! - max) / total;
}
