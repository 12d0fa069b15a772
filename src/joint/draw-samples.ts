/** @file Which genomes a predictor learns from: spread over what they cost, so that the cheap corner is not left out. */
import type { ElasticSpace } from "../space/elastic.ts";
import { BLOCK_GENES, type BlockGene, createGenetics, type Genetics, type Genome } from "../space/genome.ts";
import type { Rng } from "../util/rng.ts";
import type { GenomeCost } from "./costs.ts";

const BINS = 10;
const DRAWS_PER_SAMPLE = 10;

/** Genes that lean to one side together: depths, kernels, widths, and the bits of either kind of convolution. */
const LEANING = ["depth", "kernel", "width", "pointwise", "depthwise"] as const;
const LEANING_OF = {
  kernel: "kernel",
  middle: "width",
  pointwiseWeight: "pointwise",
  pointwiseActivation: "pointwise",
  depthwiseWeight: "depthwise",
  depthwiseActivation: "depthwise",
} as const satisfies Record<BlockGene, (typeof LEANING)[number]>;

/**
 * Some genes drawn evenly, now few, now many, the others near one point between all options smallest and all largest: one point for every
 * kind, as what is searched trades one for the other, such as small kernels in deep and wide networks, or few bits in large ones.
 */
function tilted({ options, blockStart }: Genetics, rng: Rng): Genome {
  const tilts = Object.fromEntries(LEANING.map((kind) => [kind, rng.uniform()])) as Record<(typeof LEANING)[number], number>;
  const even = rng.uniform();
  const first = blockStart(0);
  return options.map((count, i) => {
    const kind = i < first ? "depth" : LEANING_OF[BLOCK_GENES[(i - first) % BLOCK_GENES.length]!];
    return rng.uniform() < even ? rng.int(count) : Math.floor(tilts[kind] * count);
  });
}

/** `count` different genomes from bins of equal width in the logarithm of their cost, as evenly as the draws allow. */
export function drawGenomes(space: ElasticSpace, cost: GenomeCost, count: number, rng: Rng): Genome[] {
  const genetics = createGenetics(space);
  const drawn = new Map<string, Genome>();
  for (let i = 0; i < DRAWS_PER_SAMPLE * count; i++) {
    const genome = tilted(genetics, rng);
    drawn.set(genetics.key(genome), genome);
  }
  const priced = [...drawn.values()].map((genome) => ({ genome, price: Math.log(cost(genome)) }));
  const [least, most] = priced.reduce(([low, high], { price }) => [Math.min(low, price), Math.max(high, price)], [Infinity, -Infinity]);
  const bins = Array.from({ length: BINS }, (): Genome[] => []);
  for (const { genome, price } of priced)
    bins[Math.min(BINS - 1, Math.floor((BINS * (price - least)) / (most - least || 1)))]!.push(genome);
  const chosen: Genome[] = [];
  for (let round = 0; chosen.length < count && bins.some((bin) => bin.length > round); round++) {
    for (const bin of bins) if (bin.length > round && chosen.length < count) chosen.push(bin[round]!);
  }
  return rng.shuffle(chosen);
}

/** Bits of `from` on the architecture of `genome`. */
function withBitsOf(space: ElasticSpace, genome: Genome, from: Genome): Genome {
  const { isBits } = createGenetics(space);
  return genome.map((option, i) => (isBits(i) ? from[i]! : option));
}

const POLICIES_PER_ARCHITECTURE = 5;

/**
 * Genomes for the quantisation-aware predictor: half of them drawn whole, the other half a few architectures with five policies each, by
 * which the effect of bits alone is seen. Source: APQ's article, with ten policies each of more architectures.
 */
export function drawQuantizedGenomes(space: ElasticSpace, cost: GenomeCost, count: number, rng: Rng): Genome[] {
  const whole = drawGenomes(space, cost, Math.ceil(count / 2), rng.fork("pairs"));
  const rest = count - whole.length;
  const architectures = drawGenomes(space, cost, Math.ceil(rest / POLICIES_PER_ARCHITECTURE), rng.fork("architectures"));
  const policies = drawGenomes(space, cost, rest, rng.fork("policies"));
  return [...whole, ...policies.map((policy, i) => withBitsOf(space, architectures[i % architectures.length]!, policy))];
}
