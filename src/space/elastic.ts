/** @file Elastic spaces: one network whose blocks shrink in kernel and width, and whose stages shrink in depth. */
import { z } from "zod";
import { makeDivisible } from "../graph/make-divisible.ts";
import { adaptStrides } from "../graph/networks/strides.ts";
import { kernel, NORM, parseDescription, positive, skeleton } from "./skeleton.ts";

const ascending = <T extends z.ZodType<number>>(item: T) =>
  z
    .array(item)
    .min(1)
    .refine((list) => list.every((value, i) => i === 0 || value > list[i - 1]!), "must ascend");

const schema = z
  .strictObject({
    ...skeleton,
    /** A stage keeps its first `leastBlocks` … `blocks` blocks; the first block has its stride. */
    stages: z
      .array(z.strictObject({ width: positive, blocks: positive, leastBlocks: positive, stride: positive }))
      .min(1)
      .refine((stages) => stages.every(({ blocks, leastBlocks }) => leastBlocks <= blocks), "leastBlocks must be at most blocks"),
    kernels: ascending(kernel),
    /** Middle channels of a block: the multiples of `step` from `least` to `most` times its input channels. */
    expand: z
      .strictObject({ least: z.number().min(1), most: z.number().min(1), step: positive })
      .refine(({ least, most }) => least <= most, "least must be at most most"),
    /** Bits of weights and activations that are chosen among. */
    bits: ascending(z.number().int().min(2).max(8)),
  })
  .refine(
    ({ first, stages, expand }) =>
      [first, ...stages].every(
        ({ width }) => Math.floor((expand.most * width) / expand.step) >= Math.ceil((expand.least * width) / expand.step),
      ),
    "expand must leave a multiple of step for every width",
  );

/** A MobileNet-like space of sub-nets of one network. */
export type ElasticSpace = z.infer<typeof schema>;

/** @throws AppError CONFIG naming the field */
export function parseElasticSpace(value: unknown, where: string): ElasticSpace {
  return parseDescription(schema, value, where);
}

/** The space of APQ for ImageNet: 21 blocks on the backbone of Once-for-All's ProxylessNAS. Paper: Wang et al. 2020, arXiv:2006.08509. */
export const apqImagenet: ElasticSpace = {
  name: "apq-imagenet",
  input: [3, 224, 224],
  classes: 1000,
  stem: { width: 32, kernel: 3, stride: 2 },
  first: { width: 16, kernel: 3, stride: 1 },
  stages: [
    { width: 24, blocks: 4, leastBlocks: 2, stride: 2 },
    { width: 40, blocks: 4, leastBlocks: 2, stride: 2 },
    { width: 80, blocks: 4, leastBlocks: 2, stride: 2 },
    { width: 96, blocks: 4, leastBlocks: 2, stride: 1 },
    { width: 192, blocks: 4, leastBlocks: 2, stride: 2 },
    { width: 320, blocks: 1, leastBlocks: 1, stride: 1 },
  ],
  kernels: [3, 5, 7],
  expand: { least: 4, most: 6, step: 8 },
  bits: [4, 6, 8],
  head: { width: 1280 },
  norm: NORM,
};

const SMALL_STAGES = [
  { width: 24, blocks: 2, leastBlocks: 1, stride: 2 },
  { width: 40, blocks: 3, leastBlocks: 1, stride: 2 },
  { width: 80, blocks: 3, leastBlocks: 1, stride: 1 },
  { width: 96, blocks: 3, leastBlocks: 1, stride: 2 },
  { width: 192, blocks: 2, leastBlocks: 1, stride: 1 },
];

/**
 * The elastic space for images of about 28 to 128 pixels: the stages of `mobileNetSpace`, of each at least one block, middle channels of
 * 2 to 6 times the input's.
 */
export function elasticMobileNet({
  input,
  classes,
  width = 0.5,
}: {
  input: readonly [number, number, number];
  classes: number;
  width?: number;
}): ElasticSpace {
  const [stem, ...strides] = adaptStrides([2, ...SMALL_STAGES.map(({ stride }) => stride)], Math.min(input[1], input[2]));
  const scaled = (channels: number) => makeDivisible(channels * width);
  return {
    name: `elastic-mobilenet-${input[1]}x${input[2]}-${width}`,
    input: [...input],
    classes,
    stem: { width: scaled(32), kernel: 3, stride: stem! },
    first: { width: scaled(16), kernel: 3, stride: 1 },
    stages: SMALL_STAGES.map((stage, i) => ({ ...stage, width: scaled(stage.width), stride: strides[i]! })),
    kernels: [3, 5, 7],
    expand: { least: 2, most: 6, step: 8 },
    bits: [4, 6, 8],
    head: { width: scaled(640) },
    norm: NORM,
  };
}
