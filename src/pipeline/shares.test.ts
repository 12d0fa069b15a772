import fc from "fast-check";
import { expect, test } from "vitest";
import { type Leverage, shareOfPruning } from "./shares.ts";

const share = (min: number, max: number) => fc.double({ min, max, noNaN: true });
/** Networks of which neither pruning nor bits shrink some parts. */
const leverages = fc
  .record({ pruned: share(0.05, 0.6), eightBits: share(0.2, 1), ofEight: share(0.2, 0.95), stiff: share(0, 1) })
  .map(({ pruned, eightBits, ofEight, stiff }): Leverage => {
    const fewestBits = eightBits * ofEight;
    const product = pruned * fewestBits;
    return { pruned, eightBits, fewestBits, both: product + stiff * (Math.min(pruned, fewestBits) - product) };
  });

test("pruning never does more than it can, and leaves bits no more than they can", () => {
  fc.assert(
    fc.property(leverages, share(0, 1), (leverage, at) => {
      const { pruned, eightBits, fewestBits, both } = leverage;
      const wanted = both + at * (1 - both);
      const left = shareOfPruning(wanted, leverage);
      if (left === null) {
        expect(wanted).toBeGreaterThanOrEqual(0.8 * eightBits);
        expect(wanted).toBeGreaterThanOrEqual(fewestBits);
      } else {
        expect(left).toBeGreaterThanOrEqual(pruned);
        expect(left).toBeLessThanOrEqual(1);
        const least = both + ((fewestBits - both) * (left - pruned)) / (1 - pruned);
        expect(least).toBeLessThanOrEqual(wanted * (1 + 1e-9));
      }
    }),
  );
});

test("beyond 8 bits both stages give the same factor", () => {
  expect(shareOfPruning(0.36, { pruned: 0.1, eightBits: 1, fewestBits: 0.1, both: 0.01 })).toBeCloseTo(0.6);
  expect(shareOfPruning(0.25 * 0.49, { pruned: 0.1, eightBits: 0.25, fewestBits: 0.07, both: 0.007 })).toBeCloseTo(0.7);
});

test("nothing is pruned where 8 bits or a few fewer are enough or nothing can be, all of it where bits change nothing", () => {
  expect(shareOfPruning(0.3, { pruned: 0.1, eightBits: 0.34, fewestBits: 0.12, both: 0.04 })).toBeNull();
  expect(shareOfPruning(0.3, { pruned: 0.1, eightBits: 0.34, fewestBits: 0.29, both: 0.04 })).not.toBeNull();
  expect(shareOfPruning(0.3, { pruned: 0.1, eightBits: 0.27, fewestBits: 0.08, both: 0.01 })).toBeNull();
  expect(shareOfPruning(0.2, { pruned: 1, eightBits: 0.27, fewestBits: 0.08, both: 0.08 })).toBeNull();
  expect(shareOfPruning(0.5, { pruned: 0.1, eightBits: 1, fewestBits: 1, both: 0.1 })).toBe(0.5);
});
