import { expect, test } from "vitest";
import { planStages, type Stage } from "../joint/stages.ts";
import { stagesTakeMs } from "./effort.ts";
import { createSupernetPace } from "./supernet-pace.ts";

const pace = { stepMs: 100, imageMs: 0.3 };
const images = { stepsPerEpoch: 100, validation: 1000 };
const stages = planStages(20, 0.2);
const plannedMs = stagesTakeMs(stages, pace, images);
const RESERVED_MS = 60_000;

/** Epochs of each stage of a training that takes `slowness` times as long as planned, and what is left at its end. */
function train(slowness: number, givenMs = plannedMs + RESERVED_MS) {
  let now = 5000;
  const end = now + givenMs;
  const deadline = { leftMs: () => Math.max(0, end - now) };
  const clock = { nowMs: () => now, now: () => new Date(now) };
  const epochsOf = createSupernetPace({ deadline, clock, pace, images, reservedMs: RESERVED_MS });
  const epochs = stages.map((stage: Stage, i) => {
    const count = epochsOf(stages.slice(i));
    now += slowness * stagesTakeMs([{ ...stage, epochs: count }], pace, images);
    return count;
  });
  return { epochs, leftMs: end - now };
}

test("at the planned pace, or faster, every stage has its epochs", () => {
  for (const slowness of [0.5, 1]) expect(train(slowness).epochs).toEqual(stages.map(({ epochs }) => epochs));
});

test("a slow machine shortens the later stages, and most of what comes after them keeps its time", () => {
  const { epochs, leftMs } = train(1.5);
  expect(epochs[0]).toBe(stages[0]!.epochs);
  for (const i of [1, 2, 3]) expect(epochs[i]).toBeLessThanOrEqual(stages[i]!.epochs);
  expect(epochs.every((count) => count >= 1)).toBe(true);
  expect(leftMs).toBeGreaterThan(0.9 * RESERVED_MS);
});

test("every stage has one epoch when no time is left", () => {
  expect(train(1, 1000).epochs).toEqual([1, 1, 1, 1]);
});
