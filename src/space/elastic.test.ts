import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inspectGraph } from "../graph/counts.ts";
import { paramSpecs } from "../graph/params.ts";
import { validate } from "../graph/validate.ts";
import { createRng } from "../util/rng.ts";
import { apqImagenet, elasticMobileNet, parseElasticSpace } from "./elastic.ts";
import { createEncoding } from "./encode.ts";
import { createGenetics } from "./genome.ts";
import { elasticBlocks, largestSubnet, smallestSubnet, summariseSubnet } from "./subnet.ts";
import { subnetGraph } from "./subnet-graph.ts";

const small = elasticMobileNet({ input: [3, 32, 32], classes: 10 });
const spaces = [small, elasticMobileNet({ input: [1, 28, 28], classes: 10, width: 0.35 }), apqImagenet];
const ones = (vector: Float32Array) => vector.reduce((sum, v) => sum + v, 0);

describe("the encoding of the published space", () => {
  const encoding = createEncoding(apqImagenet);
  const genetics = createGenetics(apqImagenet);
  const encoded = (genome: Uint8Array) => {
    const vector = new Float32Array(encoding.size);
    encoding.write(genome, vector, 0);
    return vector;
  };

  test("has the published sizes and offsets", () => {
    expect(encoding.architectureSize).toBe(520);
    expect(encoding.size).toBe(772);
    expect(encoding.offsets).toEqual([0, 63, 520, 583, 646, 709]);
    expect(elasticBlocks(apqImagenet).map(({ middles }) => middles.length)).toEqual([
      5, 7, 7, 7, 7, 11, 11, 11, 11, 21, 21, 21, 21, 25, 25, 25, 25, 49, 49, 49, 49,
    ]);
  });

  test("has six ones for every block that is there", () => {
    const whole = genetics.sample(createRng(0));
    whole.fill(2, 0, 5);
    expect(ones(encoded(whole))).toBe(126);
    whole.fill(0, 0, 5);
    expect(ones(encoded(whole))).toBe(66);
  });

  test("is read back: one option of each kind per block", () => {
    const choice = genetics.decode(genetics.sample(createRng(4)));
    const vector = encoded(genetics.encode(choice));
    const [kernels, widths, weights] = encoding.offsets;
    const { middles } = elasticBlocks(apqImagenet)[0]!;
    expect(vector.subarray(kernels!, 3).indexOf(1)).toBe([3, 5, 7].indexOf(choice.subnet.kernels[0]!));
    expect(vector.subarray(widths!, widths! + 5).indexOf(1)).toBe(middles.indexOf(choice.subnet.middles[0]!));
    expect(vector.subarray(weights!, weights! + 3).indexOf(1)).toBe([4, 6, 8].indexOf(choice.bits[0]!.pointwise.weightBits));
  });
});

describe.each(spaces.map((space) => [space.name, space] as const))("%s", (_, space) => {
  const genetics = createGenetics(space);
  const genomes = fc.integer({ min: 0, max: 2 ** 31 - 1 }).map((seed) => genetics.sample(createRng(seed)));

  test("every sub-net is a valid graph whose parameters are parts of the largest one's", () => {
    const shared = paramSpecs(subnetGraph(space, largestSubnet(space)));
    fc.assert(
      fc.property(genomes, (genome) => {
        const graph = subnetGraph(space, genetics.decode(genome).subnet);
        validate(graph);
        for (const [name, { shape }] of paramSpecs(graph)) expect(shape.every((n, i) => n <= shared.get(name)!.shape[i]!)).toBe(true);
      }),
      { numRuns: 15 },
    );
    const macs = [smallestSubnet(space), largestSubnet(space)].map((subnet) => inspectGraph(subnetGraph(space, subnet)).macs);
    expect(macs[0]!).toBeLessThan(macs[1]! / 3);
  });

  test("genomes are choices, mutants and children stay in the space, equal choices have equal keys", () => {
    fc.assert(
      fc.property(genomes, genomes, fc.integer({ min: 0, max: 1000 }), (a, b, seed) => {
        const rng = createRng(seed);
        for (const genome of [genetics.mutate(a, 0.3, rng), genetics.crossover(a, b, rng)]) {
          expect(genome.every((value, i) => value < genetics.options[i]!)).toBe(true);
          expect(genetics.encode(genetics.decode(genome))).toEqual(genome);
        }
        expect(genetics.mutate(a, 0, rng)).toEqual(a);
        expect(genetics.crossover(a, a, rng)).toEqual(a);
        const hidden = a.slice();
        for (const [i] of elasticBlocks(space).entries()) if (!genetics.isActive(a, i)) hidden[genetics.blockStart(i)] = 0;
        expect(genetics.key(hidden)).toBe(genetics.key(a));
      }),
    );
  });
});

test("a sub-net is printed stage by stage", () => {
  expect(summariseSubnet(small, smallestSubnet(small))).toBe("k3m16 - | k3m32 - - | k3m48 - - | k3m80 - - | k3m96 -");
});

test.each([
  [{ ...small, width: 1 }, /^space: the description is not valid: /],
  [{ ...small, kernels: [5, 3] }, /^space: kernels is not valid: must ascend$/],
  [{ ...small, kernels: [4] }, /^space: kernels\.0 is not valid: must be odd$/],
  [{ ...small, expand: { least: 6, most: 4, step: 8 } }, /^space: expand is not valid: least must be at most most$/],
  [{ ...small, expand: { least: 1, most: 1, step: 1000 } }, /^space: the description is not valid: expand must leave a multiple/],
  [{ ...small, stages: [{ width: 8, blocks: 1, leastBlocks: 2, stride: 1 }] }, /^space: stages is not valid: leastBlocks must be/],
])("a wrong description names its field", (value, message) => expect(() => parseElasticSpace(value, "space")).toThrow(message));
