/** @file MobileNetV1 (Howard et al. 2017, arXiv:1704.04861) and MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381). */
import { createBuilder } from "../builder.ts";
import { makeDivisible } from "../make-divisible.ts";
import type { Graph, SampleShape } from "../types.ts";
import { adaptStrides } from "./strides.ts";

export interface NetworkOptions {
  readonly input: SampleShape;
  readonly classes: number;
}

const V1_WIDTHS = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024];
const V1_STRIDES = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1];

/**
 * MobileNetV1. `widths` are the output channels of the stem and of the 13 separable blocks; by default those of the paper times
 * `width`, rounded to multiples of 8.
 */
export function mobilenetV1(options: NetworkOptions & { readonly width?: number; readonly widths?: readonly number[] }): Graph {
  const { input, classes, width = 1 } = options;
  const widths = options.widths ?? V1_WIDTHS.map((w) => makeDivisible(w * width));
  const strides = adaptStrides(V1_STRIDES, input[1]!);
  const b = createBuilder({ name: `mobilenet-v1:${width}`, input });
  let x = b.convBn(b.input, { name: "stem", outChannels: widths[0]!, kernel: 3, stride: strides[0]!, activation: "relu" });
  for (let i = 1; i < widths.length; i++) {
    const channels = b.shape(x)[0]!;
    x = b.convBn(x, {
      name: `block${i}.depthwise`,
      outChannels: channels,
      kernel: 3,
      stride: strides[i]!,
      groups: channels,
      activation: "relu",
    });
    x = b.convBn(x, { name: `block${i}.pointwise`, outChannels: widths[i]!, kernel: 1, activation: "relu" });
  }
  return b.build(b.classifier(x, { classes }));
}

/** Expansion, width, blocks and first stride of each stage. */
const V2_STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/** MobileNetV2 with every width multiplied by `width` (the last convolution only above 1) and rounded to multiples of 8. */
export function mobilenetV2({ input, classes, width = 1 }: NetworkOptions & { readonly width?: number }): Graph {
  const strides = adaptStrides([2, ...V2_STAGES.map(([, , , stride]) => stride)], input[1]!);
  const b = createBuilder({ name: `mobilenet-v2:${width}`, input });
  let x = b.convBn(b.input, { name: "stem", outChannels: makeDivisible(32 * width), kernel: 3, stride: strides[0]!, activation: "relu6" });
  for (const [s, [expand, channels, blocks]] of V2_STAGES.entries()) {
    for (let i = 0; i < blocks; i++) {
      const stride = i === 0 ? strides[s + 1]! : 1;
      x = b.mbconv(x, { name: `stage${s + 1}.block${i + 1}`, outChannels: makeDivisible(channels * width), expand, kernel: 3, stride });
    }
  }
  x = b.convBn(x, { name: "head", outChannels: makeDivisible(1280 * Math.max(1, width)), kernel: 1, activation: "relu6" });
  return b.build(b.classifier(x, { classes }));
}

/** (in, out, expand, kernel, stride) of the network that the training benchmark times. */
const BENCH_BLOCKS = [
  [32, 16, 1, 3, 1],
  [16, 24, 6, 3, 1],
  [24, 24, 6, 3, 1],
  [24, 40, 6, 3, 2],
  [40, 40, 6, 5, 1],
  [40, 80, 6, 3, 2],
  [80, 80, 6, 5, 1],
  [80, 96, 6, 3, 1],
  [96, 192, 6, 5, 2],
  [192, 320, 6, 3, 1],
] as const;

/** A small MobileNetV2-like network with 3×3 and 5×5 kernels, expanding also where the ratio is 1. */
export function mbconvBench({ input, classes }: NetworkOptions): Graph {
  const b = createBuilder({ name: "mbconv-bench", input });
  let x = b.convBn(b.input, { name: "stem", outChannels: 32, kernel: 3, activation: "relu6" });
  for (const [i, [, outChannels, expand, kernel, stride]] of BENCH_BLOCKS.entries()) {
    x = b.mbconv(x, { name: `block${i + 1}`, outChannels, expand, kernel, stride, alwaysExpand: true });
  }
  x = b.convBn(x, { name: "head", outChannels: 1280, kernel: 1, activation: "relu6" });
  return b.build(b.classifier(x, { classes }));
}
