import { expect, test } from "vitest";
import { confirmMeasured } from "./confirm.ts";

const candidates = [10, 9.9, 9, 8, 5];
const counting = (measure: (x: number) => number) => {
  const seen: number[] = [];
  return {
    seen,
    measure: async (x: number) => {
      seen.push(x);
      return measure(x);
    },
  };
};

test("takes the best candidate when it is within the limit as measured", async () => {
  const { seen, measure } = counting((x) => x);
  expect(await confirmMeasured({ candidates, estimate: (x) => x, measure, limit: 11 })).toBe(10);
  expect(seen).toEqual([10]);
});

test("leaves out those that would miss by as much, and takes the best that does not", async () => {
  const { seen, measure } = counting((x) => 1.1 * x);
  expect(await confirmMeasured({ candidates, estimate: (x) => x, measure, limit: 10 })).toBe(8);
  expect(seen).toEqual([10, 8]);
});

test("takes the fastest when none is within, and measures a bounded number", async () => {
  const many = Array.from({ length: 100 }, (_, i) => 100 - i);
  const { seen, measure } = counting(() => 50);
  expect(candidates).toContain(await confirmMeasured({ candidates, estimate: (x) => x, measure: async () => 20, limit: 10 }));
  expect(await confirmMeasured({ candidates: many, estimate: () => 0, measure, limit: 10 })).toBe(100);
  expect(seen.length).toBeLessThanOrEqual(8);
});
