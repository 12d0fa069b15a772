import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createGenetics, type Genome } from "../space/genome.ts";
import { elasticBlocks, summariseSubnet } from "../space/subnet.ts";
import { createRng } from "../util/rng.ts";
import { mean } from "../util/statistics.ts";
import { tinySpace as space } from "./fixtures.ts";
import { type AccuracySample, openPredictor, type PredictorState, trainPredictor } from "./predictor.ts";
import { orderOf } from "./ranking.ts";
import { foldsByArchitecture, splitByArchitecture } from "./split-samples.ts";

const genetics = createGenetics(space);
const pairwiseAccuracy = (predicted: ArrayLike<number>, actual: ArrayLike<number>) => orderOf([{ predicted, actual }]).pairwiseAccuracy!;
const kendallTau = (predicted: ArrayLike<number>, actual: ArrayLike<number>) => orderOf([{ predicted, actual }]).kendallTau!;

/** An accuracy that grows with depth, width and kernels, less so when bits are few. */
function accuracyOf(genome: Genome, countsBits: boolean): number {
  const { subnet, bits } = genetics.decode(genome);
  let sum = 0;
  for (const [i, { middles }] of elasticBlocks(space).entries()) {
    if (!genetics.isActive(genome, i)) continue;
    const { pointwise, depthwise } = bits[i]!;
    const few = countsBits
      ? [pointwise.weightBits, pointwise.activationBits, 2 * depthwise.activationBits].reduce((s, b) => s + 1 / b, 0)
      : 0;
    sum += 1 + subnet.middles[i]! / middles.at(-1)! + 0.3 * (subnet.kernels[i]! / 7) - 2 * few;
  }
  return 0.5 + 0.04 * sum;
}
const draw = (count: number, seed: number, countsBits: boolean): AccuracySample[] => {
  const rng = createRng(seed);
  return Array.from({ length: count }, () => genetics.sample(rng)).map((genome) => ({ genome, accuracy: accuracyOf(genome, countsBits) }));
};
function heldOut(state: PredictorState, countsBits: boolean): number {
  using predictor = openPredictor(space, state);
  const test = draw(100, 99, countsBits);
  return pairwiseAccuracy(
    predictor.predict(test.map(({ genome }) => genome)),
    test.map(({ accuracy }) => accuracy),
  );
}

const keyOf = ({ genome }: AccuracySample) => summariseSubnet(space, genetics.decode(genome).subnet);

test("samples are set aside with all others of their architecture", () => {
  const rng = createRng(3);
  const whole = draw(10, 4, true);
  const siblings = Array.from({ length: 12 }, () => {
    const { genome } = whole[0]!;
    return { genome: genetics.mutate(genome, 0, rng), accuracy: 0.5 };
  });
  for (const samples of [
    [...siblings, ...whole],
    [...whole.toReversed(), ...siblings],
  ]) {
    const { aside, rest } = splitByArchitecture(space, samples, 0.2, createRng(5));
    expect([...aside, ...rest]).toHaveLength(samples.length);
    expect(aside.length).toBeGreaterThanOrEqual(4);
    const kept = new Set(rest.map(keyOf));
    expect(aside.filter((sample) => kept.has(keyOf(sample)))).toEqual([]);
  }
  expect(splitByArchitecture(space, siblings, 0.2, createRng(5))).toEqual({ aside: [], rest: siblings });
});

test("every sample is held out once, with all others of its architecture, in parts of about equal size", () => {
  const singles = draw(40, 6, true);
  const family = draw(1, 9, true).flatMap((one) => Array.from({ length: 10 }, () => ({ ...one })));
  const samples = [...singles, ...family];
  const folds = foldsByArchitecture(space, samples, 5, createRng(2));
  expect(folds.flatMap(({ aside }) => aside).length).toBe(samples.length);
  expect(new Set(folds.flatMap(({ aside }) => aside))).toEqual(new Set(samples));
  for (const { aside, rest } of folds) {
    expect(aside.length).toBe(10);
    expect(aside.length + rest.length).toBe(samples.length);
    const kept = new Set(rest.map(keyOf));
    expect(aside.filter((sample) => kept.has(keyOf(sample)))).toEqual([]);
  }
  expect(foldsByArchitecture(space, family, 5, createRng(2))).toEqual([]);
});

test("an architecture of many samples is set aside no sooner than one of a single", () => {
  const singles = draw(90, 6, true);
  const families = draw(9, 8, true).flatMap((one) => Array.from({ length: 10 }, () => one));
  const samples = createRng(1).shuffle([...singles, ...families]);
  const counts = Array.from(
    { length: 20 },
    (_, i) => new Set(splitByArchitecture(space, samples, 0.2, createRng(i)).aside.map(keyOf)).size,
  );
  expect(mean(counts)).toBeGreaterThan(14); // of 99, a fifth
});

describe("a predictor", async () => {
  const float = await trainPredictor({ space, samples: draw(300, 1, false), seesBits: false, seed: 0 });

  test("puts architectures in order that it has not seen, and is true to scale", () => {
    expect(heldOut(float, false)).toBeGreaterThan(0.93);
    using predictor = openPredictor(space, float);
    for (const { genome, accuracy } of draw(20, 7, false)) expect(Math.abs(predictor.predict([genome])[0]! - accuracy)).toBeLessThan(0.04);
  });

  test("learns of bits from few samples, and from fewer when it begins with what is known of the architecture", async () => {
    const few = draw(24, 2, true);
    const alone = await trainPredictor({ space, samples: few, seesBits: true, seed: 0 });
    const transferred = await trainPredictor({ space, samples: few, seesBits: true, from: float, seed: 0 });
    expect(heldOut(transferred, true)).toBeGreaterThan(heldOut(alone, true));
    const many = await trainPredictor({ space, samples: draw(300, 3, true), seesBits: true, from: float, seed: 0 });
    expect(heldOut(many, true)).toBeGreaterThan(0.93);
  });

  test("same seed, same predictor", async () => {
    const train = () => trainPredictor({ space, samples: draw(40, 1, true), seesBits: true, seed: 3, epochs: 5 });
    expect(await train()).toEqual(await train());
  });
});

describe("measures of order", () => {
  test("known values", () => {
    expect(pairwiseAccuracy([1, 2, 3], [10, 20, 30])).toBe(1);
    expect(pairwiseAccuracy([3, 2, 1], [10, 20, 30])).toBe(0);
    expect(pairwiseAccuracy([5, 5, 5], [10, 20, 30])).toBe(0.5);
    expect(pairwiseAccuracy([1, 3, 2], [10, 20, 30])).toBeCloseTo(2 / 3);
    expect(kendallTau([1, 3, 2], [10, 20, 30])).toBeCloseTo(1 / 3);
    expect(kendallTau([1, 2, 2, 3], [1, 2, 3, 4])).toBeCloseTo(5 / Math.sqrt(5 * 6));
    const [inOrder, reversed, alone] = [[1, 2, 3], [2, 1], [7]].map((predicted) => ({ predicted, actual: predicted.map((_, k) => k) }));
    expect(orderOf([inOrder!, reversed!, alone!]).pairwiseAccuracy).toBeCloseTo(3 / 4);
    expect(orderOf([{ predicted: [1, 2], actual: [5, 5] }, alone!])).toEqual({ pairwiseAccuracy: null, kendallTau: null });
  });
  test("without ties τ = 2·(pairwise accuracy) − 1", () => {
    const lists = fc.uniqueArray(fc.integer(), { minLength: 3, maxLength: 20 });
    fc.assert(
      fc.property(lists, fc.integer(), (actual, seed) => {
        const predicted = createRng(seed).shuffle(actual.slice());
        expect(kendallTau(predicted, actual)).toBeCloseTo(2 * pairwiseAccuracy(predicted, actual) - 1);
      }),
    );
  });
});
