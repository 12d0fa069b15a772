/** @file Runs an op of the engine forward and backward and compares every result with the float64 reference. */
import { expect } from "vitest";
import { toArray, toLayout } from "../../src/tensor/layout.ts";
import { createTape, type Tape } from "../../src/tensor/tape.ts";
import { createParameter, createScope, freeParameter, fromArray, type Tensor, valuesOf } from "../../src/tensor/tensor.ts";
import type { Rng } from "../../src/util/rng.ts";
import { maxError, type Ref, random } from "./array.ts";

/** float32 kernels sum in another order; Winograd and long reductions lose a little more. */
export const TOLERANCE = 2e-5;

export interface OpCheck {
  /** Inputs as float64; each becomes a leaf whose gradient is checked. */
  readonly inputs: readonly Ref[];
  readonly engine: (tape: Tape, inputs: readonly Tensor[]) => Tensor;
  readonly reference: (...inputs: Ref[]) => Ref;
  /** Gradients by the inputs for the output's gradient; null where none is compared. */
  readonly gradients: (dy: Ref, ...inputs: Ref[]) => readonly (Ref | null)[];
  readonly rng: Rng;
  readonly tolerance?: number;
}

export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string, tolerance = TOLERANCE): void {
  const { worst, index } = maxError(actual, expected);
  expect(worst, `${what}: worst at [${index}], ${actual[index]} for ${expected[index]}`).toBeLessThanOrEqual(tolerance);
}

/** Forward and backward of one op against its reference. */
export function checkOp({ inputs, engine, reference, gradients, rng, tolerance = TOLERANCE }: OpCheck): void {
  const leaves = inputs.map((input) => createParameter(input.shape, input.data));
  try {
    using _scope = createScope();
    const tape = createTape();
    const y = engine(tape, leaves);
    const expected = reference(...inputs);
    expect(y.shape).toEqual(expected.shape);
    expectClose(toArray(y), expected.data, "result", tolerance);
    const dy = random(expected.shape, rng);
    tape.backward(new Map([[y, seedFor(y, dy)]]));
    for (const [i, gradient] of gradients(dy, ...inputs).entries()) {
      if (!gradient) continue;
      const slot = leaves[i]!.gradient!;
      expect(slot.isSet, `input ${i} has a gradient`).toBe(true);
      expectClose(valuesOf(slot.tensor), gradient.data, `gradient of input ${i}`, tolerance);
    }
  } finally {
    for (const leaf of leaves) freeParameter(leaf);
  }
}

/** The output's gradient in the output's own layout, as the tape expects it. */
function seedFor(y: Tensor, dy: Ref): Tensor {
  return toLayout(fromArray(dy.shape, dy.data), y.layout);
}
