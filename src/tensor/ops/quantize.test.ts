import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { map, type Ref, random } from "../../../test/reference/array.ts";
import { checkOp } from "../../../test/reference/engine.ts";
import { clipTo } from "../../onednn/api.ts";
import { runtime } from "../../onednn/runtime.ts";
import { createRng } from "../../util/rng.ts";
import { roundHalfEven } from "../../util/round.ts";
import { toArray } from "../layout.ts";
import { activationLayout, createScope, fromArray, plainLayout } from "../tensor.ts";
import { concat } from "./combine.ts";
import { asRows, codeBounds, type QuantizeAttrs, quantize } from "./quantize.ts";

const referenceOf = (attrs: QuantizeAttrs, range: number) => {
  const { min, max } = codeBounds(attrs);
  const step = range / max;
  return {
    forward: (v: number) => step * roundHalfEven(Math.min(max, Math.max(min, v / step))),
    passes: (v: number) => v / step > min && v / step < max,
    /** Share of the gradient that the range gets. */
    clips: (v: number) => (v / step >= max ? 1 : attrs.isSigned && v / step <= min ? -1 : 0),
    /** Where rounding jumps: float32 may fall to either side. */
    jumps: Array.from({ length: max - min + 1 }, (_, i) => (min + i - 0.5) * step),
  };
};
const total = (x: Ref, f: (v: number, i: number) => number) => x.data.reduce((sum, v, i) => sum + f(v, i), 0);

const cases: QuantizeAttrs[] = [
  { bits: 8, isSigned: false },
  { bits: 3, isSigned: false },
  { bits: 1, isSigned: false },
  { bits: 8, isSigned: true },
  { bits: 2, isSigned: true },
];
describe.each(cases)("%o", (attrs) => {
  test.each([
    [[2, 5, 7, 3], false],
    [[2, 19, 4, 4], true],
    [[3, 19], false],
  ] as const)("of %j equals the reference, blocked: %s", (shape, isBlocked) => {
    const rng = createRng(3);
    const range = Math.fround(1.7);
    const { forward, passes, clips, jumps } = referenceOf(attrs, range);
    checkOp({
      inputs: [random(shape, rng, { scale: 1.5, avoid: jumps, gap: 1e-4 }), { shape: [1], data: Float64Array.of(range) }],
      rng,
      engine: (tape, [x, c]) => quantize(tape, isBlocked ? concat(tape, [x!]) : x!, c!, attrs),
      reference: (x) => map(x!, forward),
      gradients: (dy, x) => [
        map(dy, (g, i) => (passes(x!.data[i]!) ? g : 0)),
        { shape: [1], data: Float64Array.of(total(dy, (g, i) => g * clips(x!.data[i]!))) },
      ],
    });
  });
});

const run = (values: readonly number[], range: number, attrs: QuantizeAttrs): number[] => {
  using _scope = createScope();
  return [...toArray(quantize(null, fromArray([1, values.length], values), fromArray([1], [range]), attrs))];
};
const anyCase = fc.record({
  attrs: fc.record({ bits: fc.integer({ min: 2, max: 8 }), isSigned: fc.boolean() }),
  range: fc.float({ min: Math.fround(0.1), max: 10, noNaN: true }),
  values: fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 2, maxLength: 20 }),
});
test("is idempotent, monotone and at most half a step off inside the range", () => {
  fc.assert(
    fc.property(anyCase, ({ attrs, range, values }) => {
      const sorted = [...values].sort((a, b) => a - b);
      const once = run(sorted, range, attrs);
      for (const [i, v] of run(once, range, attrs).entries()) expect(v).toBeCloseTo(once[i]!, 4);
      const { min, max } = codeBounds(attrs);
      const step = range / max;
      for (let i = 0; i < sorted.length; i++) {
        if (i > 0) expect(once[i]!).toBeGreaterThanOrEqual(once[i - 1]!);
        const isInside = sorted[i]! >= min * step && sorted[i]! <= max * step;
        if (isInside) expect(Math.abs(once[i]! - sorted[i]!)).toBeLessThanOrEqual(step / 2 + 1e-4 * range);
      }
    }),
    { numRuns: 60 },
  );
});

test("halves go to even codes, as ONNX rounds", () => {
  expect(run([0.5, 1.5, 2.5, -0.5, -1.5], 127, { bits: 8, isSigned: true })).toEqual([0, 2, 2, -0, -2]);
});

test.each([
  [activationLayout, [8, 40, 7, 7]],
  [plainLayout, [8, 40, 7, 7]],
  [plainLayout, [8, 40]],
] as const)("scales with a compiled kernel", (layoutOf, shape) => {
  const { api } = runtime();
  const layout = layoutOf([...shape]);
  const { rows, one } = asRows(layout);
  const round = { kind: "eltwise", algorithm: "round", alpha: 0, beta: 0 } as const;
  const attributes = api.attributes([clipTo(0, 15), round, { kind: "binary", algorithm: "mul", b: one.desc }]);
  expect(api.implementation(api.binary("mul", rows.desc, one.desc, rows.desc, attributes))).not.toMatch(/^ref/);
  const product = api.attributes([{ kind: "binary", algorithm: "mul", b: layout.desc }]);
  expect(api.implementation(api.binary("sub", layout.desc, layout.desc, layout.desc, product))).not.toMatch(/^ref/);
});
