import fc from "fast-check";
import { expect, test } from "vitest";
import { leastShare, shareOfPruning } from "./shares.ts";

const leverages = fc
  .record({
    pruned: fc.double({ min: 0.05, max: 0.6, noNaN: true }),
    eightBits: fc.double({ min: 0.2, max: 1, noNaN: true }),
    ofEight: fc.double({ min: 0.2, max: 0.95, noNaN: true }),
  })
  .map(({ pruned, eightBits, ofEight }) => ({ pruned, eightBits, fewestBits: eightBits * ofEight }));

test("pruning never does more than it can, and leaves bits no more than they can", () => {
  fc.assert(
    fc.property(leverages, fc.double({ min: 0, max: 1, noNaN: true }), (leverage, at) => {
      const wanted = leastShare(leverage) + at * (1 - leastShare(leverage));
      const share = shareOfPruning(wanted, leverage);
      if (share === null) {
        expect(wanted).toBeGreaterThanOrEqual(leverage.eightBits);
      } else {
        expect(share).toBeGreaterThanOrEqual(leverage.pruned);
        expect(share).toBeLessThanOrEqual(1);
        expect(share * leverage.fewestBits).toBeLessThanOrEqual(wanted * (1 + 1e-9));
      }
    }),
  );
});

test("beyond 8 bits both stages give the same factor", () => {
  expect(shareOfPruning(0.36, { pruned: 0.1, eightBits: 1, fewestBits: 0.1 })).toBeCloseTo(0.6);
  expect(shareOfPruning(0.25 * 0.49, { pruned: 0.1, eightBits: 0.25, fewestBits: 0.07 })).toBeCloseTo(0.7);
});

test("nothing is pruned where 8 bits are enough, all of it where bits change nothing", () => {
  expect(shareOfPruning(0.3, { pruned: 0.1, eightBits: 0.27, fewestBits: 0.08 })).toBeNull();
  expect(shareOfPruning(0.5, { pruned: 0.1, eightBits: 1, fewestBits: 1 })).toBe(0.5);
});
