import { expect, test } from "vitest";
import { cosine, oneCycle } from "./schedules.ts";

test("cosine falls from the peak to 0, after a linear rise", () => {
  const plain = cosine({ peak: 0.4, steps: 100 });
  expect([plain(0), plain(50), plain(100)]).toEqual([0.4, expect.closeTo(0.2), expect.closeTo(0)]);
  const warm = cosine({ peak: 0.4, steps: 100, warmupSteps: 10 });
  expect([warm(0), warm(4), warm(9), warm(10)]).toEqual([0.04, 0.2, 0.4, 0.4].map((v) => expect.closeTo(v)));
});

test("one cycle rises from peak/25 to the peak in the first quarter and ends near 0", () => {
  const lr = oneCycle({ peak: 0.5, steps: 400 });
  const all = Array.from({ length: 400 }, (_, step) => lr(step));
  expect(all[0]).toBeCloseTo(0.02);
  expect(Math.max(...all)).toBeCloseTo(0.5);
  expect(all.indexOf(Math.max(...all))).toBe(99);
  expect(all.at(-1)).toBeCloseTo(2e-6, 9);
});
