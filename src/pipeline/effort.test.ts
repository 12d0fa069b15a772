import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planArchitecture, planJoint, planSearch, planTuning } from "./effort.ts";

const paces = fc.record({ stepMs: fc.double({ min: 1, max: 500, noNaN: true }), imageMs: fc.double({ min: 0.01, max: 5, noNaN: true }) });
const sets = fc.record({ stepsPerEpoch: fc.integer({ min: 1, max: 2000 }), validation: fc.integer({ min: 50, max: 10_000 }) });
const HOUR = 3_600_000;
/** A plan, or that the time is too short for any. */
const attempt = <T>(plan: () => T): T | string => {
  try {
    return plan();
  } catch (error) {
    return (error as Error).message;
  }
};

describe.each([
  ["pruning", (time, pace, images) => planSearch("pruned", time, pace, images)],
  ["quantisation", (time, pace, images) => planSearch("quantized", time, pace, images)],
  ["a supernet", (time, pace, images) => planJoint(time, pace, images)],
  ["an architecture", (time, pace, images) => planArchitecture(time, pace, images)],
] as const satisfies readonly (readonly [string, (...all: Parameters<typeof planArchitecture>) => object])[])(
  "the plan of %s",
  (_, plan) => {
    test("does no less in more time, and says when the time is too short", () => {
      fc.assert(
        fc.property(paces, sets, fc.double({ min: 1000, max: 10 * HOUR, noNaN: true }), (pace, images, timeMs) => {
          const [one, twice] = [timeMs, 2 * timeMs].map((ms) => attempt(() => plan({ leftMs: ms, share: 0.5 }, pace, images)));
          if (typeof one === "string") {
            expect(one).toMatch(/^optimize: --time must leave about [\d.]+m for what is to come/);
            return;
          }
          const total = (value: object) => Object.values(value).reduce((sum: number, n: number) => sum + n, 0);
          expect(total(twice as object)).toBeGreaterThanOrEqual(total(one!));
          for (const n of Object.values(one!)) expect(n).toBeGreaterThanOrEqual(1);
        }),
      );
    });
  },
);

test("half an hour for 45,000 small images is a supernet of a dozen epochs", () => {
  const { epochs, floatSamples, quantizedSamples } = planJoint(
    { leftMs: HOUR / 2, share: 0.75 },
    { stepMs: 150, imageMs: 0.3 },
    { stepsPerEpoch: 351, validation: 5000 },
  );
  expect(epochs).toBeGreaterThanOrEqual(8);
  expect(floatSamples).toBeGreaterThanOrEqual(40);
  expect(quantizedSamples).toBeGreaterThanOrEqual(40);
  expect(
    planTuning({ leftMs: HOUR / 6, share: 1 }, { stepMs: 150, imageMs: 0.3 }, { stepsPerEpoch: 351, validation: 5000 }),
  ).toBeGreaterThanOrEqual(5);
});
