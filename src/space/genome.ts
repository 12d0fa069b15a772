/** @file A sub-net and its bits as a list of small integers: what a search draws, changes and crosses. */
import { AppError } from "../errors.ts";
import type { Precision } from "../hardware/precision.ts";
import type { Rng } from "../util/rng.ts";
import type { ElasticSpace } from "./elastic.ts";
import { elasticBlocks, type Subnet } from "./subnet.ts";

/**
 * Indices of options: the depth of every stage, then of every block kernel, middle channels, and bits of weights and activations of its
 * pointwise and of its depthwise convolutions.
 */
export type Genome = Uint8Array;

/** Genes of a block, in order. */
export const BLOCK_GENES = [
  "kernel",
  "middle",
  "pointwiseWeight",
  "pointwiseActivation",
  "depthwiseWeight",
  "depthwiseActivation",
] as const;
export type BlockGene = (typeof BLOCK_GENES)[number];
const PER_BLOCK = BLOCK_GENES.length;
const gene = (name: BlockGene): number => BLOCK_GENES.indexOf(name);

/** Bits of a block: both its pointwise convolutions share theirs. */
export interface BlockBits {
  readonly pointwise: Precision;
  readonly depthwise: Precision;
}
/** A sub-net with the bits of every block of the largest network. */
export interface JointChoice {
  readonly subnet: Subnet;
  readonly bits: readonly BlockBits[];
}

/** Genes are bytes. */
const MOST_OPTIONS = 255;

export interface Genetics {
  /** How many options every gene has. */
  readonly options: Uint8Array;
  /** Where the genes of block i begin. */
  blockStart(i: number): number;
  /** Whether gene i is about bits. */
  isBits(i: number): boolean;
  isActive(genome: Genome, block: number): boolean;
  /** Every option equally likely. */
  sample(rng: Rng): Genome;
  /** Every stage's depth and every block's genes drawn anew with this probability. */
  mutate(genome: Genome, probability: number, rng: Rng): Genome;
  /** Every stage's depth and every block from either parent. */
  crossover(a: Genome, b: Genome, rng: Rng): Genome;
  /** Equal for genomes that stand for the same choice. */
  key(genome: Genome): string;
  decode(genome: Genome): JointChoice;
  encode(choice: JointChoice): Genome;
}

/** @throws AppError CONFIG for a gene of too many options */
export function createGenetics(space: ElasticSpace): Genetics {
  const blocks = elasticBlocks(space);
  const { stages, kernels, bits } = space;
  const blockStart = (i: number) => stages.length + i * PER_BLOCK;
  const counts = [
    ...stages.map(({ blocks: count, leastBlocks }) => count - leastBlocks + 1),
    ...blocks.flatMap(({ middles }) => [kernels.length, middles.length, ...Array<number>(PER_BLOCK - 2).fill(bits.length)]),
  ];
  const most = Math.max(...counts);
  if (most > MOST_OPTIONS)
    throw new AppError(
      "CONFIG",
      `space ${space.name}: a block must have at most ${MOST_OPTIONS} widths to choose from, got ${most} — raise the step of its expansion`,
    );
  const options = Uint8Array.from(counts);
  const draw = (genome: Genome, from: number, count: number, rng: Rng) => {
    for (let i = from; i < from + count; i++) genome[i] = rng.int(options[i]!);
  };
  const isActive = (genome: Genome, i: number) => blocks[i]!.place < genome[blocks[i]!.stage]! + stages[blocks[i]!.stage]!.leastBlocks;
  return {
    options,
    blockStart,
    isBits: (i) => i >= stages.length && (i - stages.length) % PER_BLOCK >= gene("pointwiseWeight"),
    isActive,
    sample: (rng) => {
      const genome = new Uint8Array(options.length);
      draw(genome, 0, options.length, rng);
      return genome;
    },
    mutate: (genome, probability, rng) => {
      const changed = genome.slice();
      for (let s = 0; s < stages.length; s++) if (rng.uniform() < probability) draw(changed, s, 1, rng);
      for (let i = 0; i < blocks.length; i++) if (rng.uniform() < probability) draw(changed, blockStart(i), PER_BLOCK, rng);
      return changed;
    },
    crossover: (a, b, rng) => {
      const child = a.slice();
      for (let s = 0; s < stages.length; s++) if (rng.uniform() < 0.5) child[s] = b[s]!;
      for (let i = 0; i < blocks.length; i++) {
        const start = blockStart(i);
        if (rng.uniform() < 0.5) child.set(b.subarray(start, start + PER_BLOCK), start);
      }
      return child;
    },
    key: (genome) => {
      const canonical = genome.slice();
      for (let i = 0; i < blocks.length; i++) {
        if (!isActive(genome, i)) canonical.fill(0, blockStart(i), blockStart(i) + PER_BLOCK);
      }
      return Buffer.from(canonical).toString("latin1");
    },
    decode: (genome) => {
      const at = (i: number, name: BlockGene) => genome[blockStart(i) + gene(name)]!;
      const precision = (i: number, kind: "pointwise" | "depthwise"): Precision => ({
        weightBits: bits[at(i, `${kind}Weight`)]!,
        activationBits: bits[at(i, `${kind}Activation`)]!,
      });
      return {
        subnet: {
          depths: stages.map(({ leastBlocks }, s) => leastBlocks + genome[s]!),
          kernels: blocks.map((_, i) => kernels[at(i, "kernel")]!),
          middles: blocks.map(({ middles }, i) => middles[at(i, "middle")]!),
        },
        bits: blocks.map((_, i) => ({ pointwise: precision(i, "pointwise"), depthwise: precision(i, "depthwise") })),
      };
    },
    encode: ({ subnet, bits: chosen }) => {
      const genome = new Uint8Array(options.length);
      for (const [s, { leastBlocks }] of stages.entries()) genome[s] = subnet.depths[s]! - leastBlocks;
      for (const [i, { middles }] of blocks.entries()) {
        const { pointwise, depthwise } = chosen[i]!;
        const genes: Record<BlockGene, number> = {
          kernel: kernels.indexOf(subnet.kernels[i]!),
          middle: middles.indexOf(subnet.middles[i]!),
          pointwiseWeight: bits.indexOf(pointwise.weightBits),
          pointwiseActivation: bits.indexOf(pointwise.activationBits),
          depthwiseWeight: bits.indexOf(depthwise.weightBits),
          depthwiseActivation: bits.indexOf(depthwise.activationBits),
        };
        for (const [g, name] of BLOCK_GENES.entries()) genome[blockStart(i) + g] = genes[name];
      }
      return genome;
    },
  };
}
