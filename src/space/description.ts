/** @file Search spaces described by data. */
import { z } from "zod";
import { makeDivisible } from "../graph/make-divisible.ts";
import { adaptStrides } from "../graph/networks/strides.ts";
import { kernel, NORM, parseDescription, positive, skeleton } from "./skeleton.ts";

const schema = z.strictObject({
  ...skeleton,
  /** The first block of a stage has its stride; the others have stride 1. */
  stages: z.array(z.strictObject({ width: positive, blocks: positive, stride: positive })).min(1),
  /** Inverted residuals that every block may be. */
  candidates: z.array(z.strictObject({ kernel, expand: z.number().min(1) })).min(1),
  /** Blocks with stride 1 and equal widths may also be left out. */
  zero: z.boolean(),
  /** Before the classifier, while training (default 0). */
  dropout: z.number().min(0).max(0.9).default(0),
});

/** A MobileNet-like space: stem, first block, stages of blocks to choose, head, classifier. */
export type SpaceDescription = z.infer<typeof schema>;

/** @throws AppError CONFIG naming the field */
export function parseSpace(value: unknown, where: string): SpaceDescription {
  return parseDescription(schema, value, where);
}

const CANDIDATES = [3, 5, 7].flatMap((k) => [3, 6].map((expand) => ({ kernel: k, expand })));
/** The space of the ProxylessNAS paper for ImageNet: 21 blocks, 6⁶·7¹⁵ networks. Paper: Cai et al. 2019, arXiv:1812.00332. */
export const proxylessImagenet: SpaceDescription = {
  name: "proxyless-imagenet",
  input: [3, 224, 224],
  classes: 1000,
  stem: { width: 32, kernel: 3, stride: 2 },
  first: { width: 16, kernel: 3, stride: 1 },
  stages: [
    { width: 24, blocks: 4, stride: 2 },
    { width: 40, blocks: 4, stride: 2 },
    { width: 80, blocks: 4, stride: 2 },
    { width: 96, blocks: 4, stride: 1 },
    { width: 192, blocks: 4, stride: 2 },
    { width: 320, blocks: 1, stride: 1 },
  ],
  candidates: CANDIDATES,
  zero: true,
  head: { width: 1280 },
  dropout: 0,
  norm: NORM,
};

const SMALL_STAGES = [
  { width: 24, blocks: 2, stride: 2 },
  { width: 40, blocks: 3, stride: 2 },
  { width: 80, blocks: 3, stride: 1 },
  { width: 96, blocks: 3, stride: 2 },
  { width: 192, blocks: 2, stride: 1 },
];

/**
 * A space of 13 blocks for images of about 28 to 128 pixels: widths are those of the paper's space times `width` (default 0.5)
 * in multiples of 8; while the last feature map would be smaller than 4×4, the earliest stride of 2 becomes 1.
 */
export function mobileNetSpace({
  input,
  classes,
  width = 0.5,
}: {
  input: readonly [number, number, number];
  classes: number;
  width?: number;
}): SpaceDescription {
  const [stem, ...stages] = adaptStrides([2, ...SMALL_STAGES.map((stage) => stage.stride)], Math.min(input[1], input[2]));
  const scaled = (channels: number) => makeDivisible(channels * width);
  return {
    name: `mobilenet-${input[1]}x${input[2]}-${width}`,
    input: [...input],
    classes,
    stem: { width: scaled(32), kernel: 3, stride: stem! },
    first: { width: scaled(16), kernel: 3, stride: 1 },
    stages: SMALL_STAGES.map((stage, i) => ({ ...stage, width: scaled(stage.width), stride: stages[i]! })),
    candidates: CANDIDATES,
    zero: true,
    head: { width: scaled(640) },
    dropout: 0,
    norm: NORM,
  };
}
