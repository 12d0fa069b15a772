import { expect, test } from "vitest";
import type { Precision } from "../hardware/precision.ts";
import { measureSensitivities } from "./sensitivity.ts";

const choices = { weightBits: [2, 4, 8], activationBits: [4, 8], isCoupled: false };
const eight: Precision = { weightBits: 8, activationBits: 8 };
/** Weights of the second layer mind most. */
const lossOf = (bits: readonly Precision[]) =>
  1 + bits.reduce((sum, { weightBits, activationBits }, i) => sum + (i + 1) / weightBits + 1 / activationBits, 0);

test("is the rise of the loss with one side of one layer at few bits, for every choice of layers that are free", async () => {
  const sensitivity = (await measureSensitivities({ choices, pins: [null, null, eight], lossOf }))!;
  expect(sensitivity(0, "weightBits", 2)).toBeCloseTo(1 / 2 - 1 / 32);
  expect(sensitivity(1, "weightBits", 2)).toBeCloseTo(2 / 2 - 2 / 32);
  expect(sensitivity(1, "activationBits", 4)).toBeCloseTo(1 / 4 - 1 / 32);
});

test("stops at the bits from which on the loss does not rise, and takes a quarter a bit for more", async () => {
  const asked: string[] = [];
  const few = { weightBits: [2, 4, 5, 8], activationBits: [32], isCoupled: false };
  const sensitivity = (await measureSensitivities({
    choices: few,
    pins: [null],
    lossOf: ([one]) => {
      asked.push(`${one!.weightBits}`);
      return one!.weightBits === 2 ? 1.5 : one!.weightBits === 4 ? 1.0004 : 1;
    },
  }))!;
  expect(asked).toEqual(["32", "2", "4"]);
  expect(sensitivity(0, "weightBits", 2)).toBeCloseTo(0.5);
  expect(sensitivity(0, "weightBits", 5)).toBeCloseTo(0.0001, 9);
  expect(sensitivity(0, "weightBits", 8)).toBeCloseTo(0.0004 / 256, 9);
});

test("a signal ends it between two measurements", async () => {
  const controller = new AbortController();
  let count = 0;
  setImmediate(() => controller.abort());
  const measured = await measureSensitivities({
    choices,
    pins: [null, null],
    lossOf: () => ++count,
    signal: controller.signal,
  });
  expect(measured).toBeNull();
  expect(count).toBeLessThan(11);
});
