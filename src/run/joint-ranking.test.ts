import { describe, expect, test } from "vitest";
import { tinySpace } from "../joint/fixtures.ts";
import type { AccuracySample } from "../joint/predictor.ts";
import { parseElasticSpace } from "../space/elastic.ts";
import { createGenetics } from "../space/genome.ts";
import { createRng } from "../util/rng.ts";
import { describeRanking, learn } from "./joint-ranking.ts";

const draw = (space: typeof tinySpace, count: number): AccuracySample[] => {
  const genetics = createGenetics(space);
  const rng = createRng(1);
  return Array.from({ length: count }, () => genetics.sample(rng)).map((genome) => {
    const { depths } = genetics.decode(genome).subnet;
    return { genome, accuracy: 0.5 + 0.05 * depths.reduce((sum, depth) => sum + depth, 0) };
  });
};

describe("a predictor of few samples", () => {
  const samples = draw(tinySpace, 40);

  test("is judged on every one of them, each predicted by what has not seen it", async () => {
    const { ranking, predictions, folds } = await learn(samples, { space: tinySpace, seesBits: false, seed: 0 });
    expect(ranking).toMatchObject({ heldOut: 40, learnt: 32 });
    expect(ranking.pairwiseAccuracy).toBeGreaterThan(0.7);
    expect(predictions.map(({ measured }) => measured).sort()).toEqual(samples.map(({ accuracy }) => accuracy).sort());
    expect(folds).toHaveLength(5);
  });

  test("is judged on a part of them where time is short", async () => {
    const { ranking, folds } = await learn(samples, { space: tinySpace, seesBits: false, seed: 0, epochs: 5 }, 1);
    expect(folds).toHaveLength(1);
    expect(ranking.heldOut).toBe(folds[0]!.aside.length);
  });

  test("of a single architecture learns, and is said to be judged on nothing", async () => {
    const single = parseElasticSpace(
      {
        ...tinySpace,
        kernels: [3],
        stages: tinySpace.stages.map((stage) => ({ ...stage, leastBlocks: stage.blocks })),
        expand: { ...tinySpace.expand, least: tinySpace.expand.most },
      },
      "single",
    );
    const { ranking, state } = await learn(draw(single, 20), { space: single, seesBits: true, seed: 0, epochs: 2 });
    expect(ranking).toEqual({ learnt: 0, heldOut: 0, pairwiseAccuracy: null, kendallTau: null });
    expect(describeRanking(ranking)).toContain("no two of the 0");
    expect(state.weights.size).toBeGreaterThan(0);
  });
});
