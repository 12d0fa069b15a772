import fc from "fast-check";
import { expect, test } from "vitest";
import { createBitFusion } from "../hardware/bitfusion.ts";
import { elasticMobileNet } from "../space/elastic.ts";
import { BLOCK_GENES, createGenetics } from "../space/genome.ts";
import { createRng } from "../util/rng.ts";
import { acceleratorCost, sumOfLayers } from "./costs.ts";
import { withBitsRaised } from "./raised-bits.ts";
import { differingBlocks, unlike } from "./unlike.ts";

const space = elasticMobileNet({ input: [3, 32, 32], classes: 10 });
const { blockStart, isActive, isBits, key, options, sample } = createGenetics(space);
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

/** With the kernels of the first `count` blocks that are there changed. */
function varied(genome: Uint8Array, count: number): Uint8Array {
  const changed = genome.slice();
  const kernels = Array.from({ length: (options.length - blockStart(0)) / BLOCK_GENES.length }, (_, i) => i)
    .filter((i) => isActive(genome, i))
    .map(blockStart);
  for (const at of kernels.slice(0, count)) changed[at] = (changed[at]! + 1) % options[at]!;
  return changed;
}

test("blocks that differ are counted, those that neither has are not", () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const genome = sample(createRng(seed));
      expect(differingBlocks(space, genome, genome)).toBe(0);
      expect(differingBlocks(space, genome, varied(genome, 2))).toBe(2);
      expect(differingBlocks(space, varied(genome, 3), genome)).toBe(3);
    }),
    { numRuns: 30 },
  );
});

test("the best comes first, then what is unlike all before; near copies fill up only what is left", () => {
  const [a, b] = [sample(createRng(1)), sample(createRng(2))];
  const [copy, other] = [varied(a, 1), varied(a, 5)];
  const best = [a, copy, b, other].map((genome) => ({ genome }));
  expect(unlike(space, best, 3).map(({ genome }) => genome)).toEqual([a, b, other]);
  expect(unlike(space, best, 4).map(({ genome }) => genome)).toEqual([a, b, other, copy]);
  expect(unlike(space, best, 9)).toHaveLength(4);
});

test("bits are raised until none more fits, and nothing else changes", () => {
  const cost = sumOfLayers(space, acceleratorCost(createBitFusion(), "latencyMs"));
  fc.assert(
    fc.property(seeds, fc.double({ min: 1, max: 1.6, noNaN: true }), (seed, room) => {
      const genome = sample(createRng(seed));
      const limits = [{ kind: "latency" as const, cost, limit: room * cost(genome) }];
      const raised = withBitsRaised(space, limits, genome);
      expect(cost(raised)).toBeLessThanOrEqual(limits[0]!.limit);
      for (let i = 0; i < genome.length; i++) {
        if (isBits(i)) expect(raised[i]).toBeGreaterThanOrEqual(genome[i]!);
        else expect(raised[i]).toBe(genome[i]);
        if (!isBits(i) || raised[i]! + 1 === options[i]!) continue;
        const more = raised.slice();
        more[i]!++;
        if (key(more) !== key(raised)) expect(cost(more)).toBeGreaterThan(limits[0]!.limit);
      }
    }),
    { numRuns: 20 },
  );
});

test("widths that a byte cannot tell apart are refused", () => {
  expect(() => createGenetics(elasticMobileNet({ input: [3, 32, 32], classes: 10, width: 4 }))).toThrow(
    /must have at most 255 widths to choose from, got \d+/,
  );
});
