import { describe, expect, test } from "vitest";
import { confirmMeasured, confirmScaled } from "./confirm.ts";

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
  expect(await confirmMeasured({ candidates, estimate: (x) => x, measure, limit: 10 })).toBe(9);
  expect(seen).toEqual([10, 9]);
});

test("takes the fastest when none is within, and measures a bounded number", async () => {
  const many = Array.from({ length: 100 }, (_, i) => 100 - i);
  const { seen, measure } = counting(() => 50);
  expect(candidates).toContain(await confirmMeasured({ candidates, estimate: (x) => x, measure: async () => 20, limit: 10 }));
  expect(await confirmMeasured({ candidates: many, estimate: () => 0, measure, limit: 10 })).toBe(100);
  expect(seen.length).toBeLessThanOrEqual(8);
});

describe("scaling down", () => {
  const scaled = (factor: number) => {
    const asked: number[] = [];
    const { seen, measure } = counting((x) => factor * x);
    const options = {
      first: 10,
      within: async (aim: number) => {
        asked.push(aim);
        return aim < 2 ? null : aim;
      },
      estimate: (x: number) => x,
      measure,
    };
    return { asked, seen, options };
  };

  test("takes the first when it is within the limit as measured", async () => {
    const { asked, options } = scaled(1);
    expect(await confirmScaled({ ...options, limit: 10 })).toBe(10);
    expect(asked).toEqual([]);
  });

  test("aims lower by as much as the first missed, and is within then", async () => {
    const { seen, options } = scaled(1.25);
    const found = await confirmScaled({ ...options, limit: 10 });
    expect(1.25 * found).toBeLessThanOrEqual(10 + 1e-9);
    expect(found).toBeGreaterThan(7.9);
    expect(seen).toHaveLength(2);
  });

  test("steps back up where the first within the limit is well below it, and never over it", async () => {
    const { options } = scaled(1);
    const { seen, measure } = counting((x) => (x > 9 ? 1.3 * x : x));
    const found = await confirmScaled({ ...options, measure, limit: 10 });
    expect(found).toBeCloseTo((10 / 1.3 + 10) / 2, 9);
    expect(seen).toHaveLength(4);
  });

  test("gives the fastest where nothing is left, after a bounded number of measurements", async () => {
    const none = scaled(100);
    expect(await confirmScaled({ ...none.options, limit: 10 })).toBe(10);
    const { seen, measure } = counting(() => 50);
    expect(await confirmScaled({ ...none.options, within: async () => 3, measure, limit: 10 })).toBe(10);
    expect(seen).toHaveLength(8);
  });
});
