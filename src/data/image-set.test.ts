import { describe, expect, test } from "vitest";
import { randomSet } from "./fixtures.ts";
import { createImageSet, subset } from "./image-set.ts";
import { channelStatistics } from "./normalisation.ts";

const imageAt = (set: ReturnType<typeof randomSet>, i: number) => [...set.images.subarray(i * 192, (i + 1) * 192)];

describe("subset", () => {
  test("copies pixels and labels in the order asked for, into shared memory", () => {
    const set = randomSet([0, 1, 2, 0]);
    const part = subset(set, [3, 1]);
    expect(part.count).toBe(2);
    expect([...part.labels]).toEqual([0, 1]);
    expect(imageAt(part, 0)).toEqual(imageAt(set, 3));
    expect(imageAt(part, 1)).toEqual(imageAt(set, 1));
    expect(part.images.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  test("rejects an index outside the set", () => {
    expect(() => subset(randomSet([0, 1]), [2])).toThrow("subset: indices must be in 0…1, got 2");
    expect(() => subset(randomSet([0, 1]), [-1])).toThrow("got -1");
  });
});

describe("channelStatistics", () => {
  test("is the mean and population standard deviation of each channel", () => {
    const set = randomSet([0, 1, 1], [2, 3, 5]);
    const { mean, std } = channelStatistics(set);
    for (const c of [0, 1]) {
      const pixels = [0, 1, 2].flatMap((n) => [...set.images.subarray((n * 2 + c) * 15, (n * 2 + c + 1) * 15)]).map((pixel) => pixel / 255);
      const average = pixels.reduce((a, b) => a + b) / 45;
      expect(mean[c]).toBeCloseTo(average, 12);
      expect(std[c]).toBeCloseTo(Math.sqrt(pixels.reduce((sum, pixel) => sum + (pixel - average) ** 2, 0) / 45), 12);
    }
  });

  test("gives a constant channel std 1", () => {
    const set = createImageSet([1, 2, 2], ["a", "b"], Int32Array.of(0, 1));
    set.images.fill(51);
    expect(channelStatistics(set)).toEqual({ mean: [0.2], std: [1] });
  });
});
