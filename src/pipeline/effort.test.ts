import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  architectureTakesMs,
  defaultJoint,
  defaultSearch,
  defaultTuneEpochs,
  type Images,
  jointTakesMs,
  leastArchitectureMs,
  leastJointMs,
  leastSearchMs,
  leastTuningMs,
  type Pace,
  planArchitecture,
  planJoint,
  planSearch,
  planTuning,
  requireTime,
  type SearchStage,
  searchTakesMs,
} from "./effort.ts";

const paces = fc.record({ stepMs: fc.double({ min: 1, max: 500, noNaN: true }), imageMs: fc.double({ min: 0.01, max: 5, noNaN: true }) });
const sets = fc.record({ stepsPerEpoch: fc.integer({ min: 1, max: 2000 }), validation: fc.integer({ min: 50, max: 10_000 }) });
const HOUR = 3_600_000;

interface Planned {
  readonly effort: object;
  readonly takesMs: number;
}
interface Plan {
  readonly name: string;
  readonly plan: (timeMs: number, pace: Pace, images: Images) => Planned;
  readonly leastMs: (pace: Pace, images: Images) => number;
}
const searchPlan = (stage: SearchStage): Plan => ({
  name: stage,
  plan: (timeMs, pace, images) => {
    const effort = planSearch(stage, timeMs, pace, images);
    return { effort, takesMs: searchTakesMs(stage, effort, pace, images) };
  },
  leastMs: (pace, images) => leastSearchMs(stage, pace, images),
});
const plans: readonly Plan[] = [
  searchPlan("pruned"),
  searchPlan("quantized"),
  ...[false, true].map(
    (withBits): Plan => ({
      name: `a supernet ${withBits ? "with bits" : "of floats"}`,
      plan: (timeMs, pace, images) => {
        const effort = planJoint(timeMs, pace, images, withBits);
        return { effort, takesMs: jointTakesMs(effort, pace, images) };
      },
      leastMs: (pace, images) => leastJointMs(pace, images, withBits),
    }),
  ),
  {
    name: "an architecture",
    plan: (timeMs, pace, images) => {
      const effort = planArchitecture(timeMs, pace, images);
      return { effort, takesMs: architectureTakesMs(effort, pace, images) };
    },
    leastMs: leastArchitectureMs,
  },
];

describe.each(plans)("the plan of $name", ({ plan, leastMs }) => {
  const total = (value: object) => Object.values(value).reduce((sum: number, n: number) => sum + n, 0);

  test("does no less in more time, and the least in none", () => {
    fc.assert(
      fc.property(paces, sets, fc.double({ min: 0, max: 10 * HOUR, noNaN: true }), (pace, images, timeMs) => {
        const [none, one, twice] = [0, timeMs, 2 * timeMs].map((ms) => plan(ms, pace, images));
        expect(one!.takesMs).toBeGreaterThanOrEqual(none!.takesMs * 0.999);
        expect(total(twice!.effort)).toBeGreaterThanOrEqual(total(one!.effort));
        expect(none!.takesMs).toBeCloseTo(leastMs(pace, images), 3);
      }),
    );
  });

  test("fits into the time, if that is the least or more", () => {
    fc.assert(
      fc.property(paces, sets, fc.double({ min: 1, max: 50, noNaN: true }), (pace, images, times) => {
        const timeMs = times * leastMs(pace, images);
        expect(plan(timeMs, pace, images).takesMs).toBeLessThanOrEqual(timeMs * 1.001);
      }),
    );
  });
});

test("what a user wants of a search is kept, and the rest planned around it", () => {
  const [pace, images] = [
    { stepMs: 100, imageMs: 0.2 },
    { stepsPerEpoch: 350, validation: 5000 },
  ];
  const free = planSearch("pruned", HOUR / 2, pace, images);
  const few = planSearch("pruned", HOUR / 2, pace, images, { given: { episodes: 20 } });
  expect(few.episodes).toBe(20);
  expect(few.epochs).toBeGreaterThan(free.epochs);
  expect(planSearch("pruned", HOUR / 2, pace, images, { given: { epochs: 3 } })).toEqual({ ...free, epochs: 3 });
  expect(planSearch("pruned", HOUR / 2, pace, images, { finalists: 5 }).epochs).toBeLessThan(free.epochs);
});

test("sensitivities are measured where they leave most of the time to the search, and their time is not spent twice", () => {
  const [pace, images] = [
    { stepMs: 100, imageMs: 0.2 },
    { stepsPerEpoch: 350, validation: 5000 },
  ];
  const plan = (timeMs: number) => planSearch("quantized", timeMs, pace, images, { layers: 50 });
  const without = planSearch("quantized", HOUR / 2, pace, images);
  expect(plan(HOUR / 2).sensitivities).toBe(true);
  expect(plan(HOUR / 2).episodes).toBeLessThan(without.episodes);
  expect(plan(HOUR / 20)).toEqual({ ...planSearch("quantized", HOUR / 20, pace, images), sensitivities: false });
});

test("too little time is refused with what it would take", () => {
  expect(() => requireTime(60_000, 60_000)).not.toThrow();
  expect(() => requireTime(60_000, 90_000)).toThrow(/^optimize: --time must leave about 1\.5m for what is to come .* got 1\.0m — raise it/);
});

test.each([
  [false, 6, 12],
  [true, 5, 7],
])("half an hour for 45,000 small images, with bits: %s", (withBits, supernetEpochs, tuneEpochs) => {
  const [pace, images] = [
    { stepMs: 200, imageMs: 0.5 },
    { stepsPerEpoch: 351, validation: 5000 },
  ];
  const half = HOUR / 2;
  const { epochs, floatSamples, quantizedSamples } = planJoint(0.45 * half, pace, images, withBits);
  expect(epochs).toBeGreaterThanOrEqual(supernetEpochs);
  expect(floatSamples).toBeGreaterThanOrEqual(35);
  if (withBits) expect(quantizedSamples).toBeGreaterThanOrEqual(35);
  else expect(quantizedSamples).toBe(0);
  const left = 0.55 * half - leastTuningMs(pace, images, withBits);
  const found = withBits ? { stepMs: 275, imageMs: 0.4 } : { stepMs: 175, imageMs: 0.3 };
  expect(planTuning(left, found, images)).toBeGreaterThanOrEqual(tuneEpochs);
});

test("few images are gone through more often, so that there are steps enough", () => {
  const [few, many] = [
    { stepsPerEpoch: 13, validation: 24 },
    { stepsPerEpoch: 351, validation: 5000 },
  ];
  expect(defaultJoint(many, true).epochs).toBe(40);
  expect(13 * defaultJoint(few, true).epochs).toBeGreaterThanOrEqual(4000);
  expect(13 * defaultTuneEpochs(few)).toBeGreaterThanOrEqual(600);
  expect(13 * defaultSearch(few).epochs).toBeGreaterThanOrEqual(400);
});
