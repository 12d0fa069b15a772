/** @file The four networks that ProxylessNAS released (Cai et al. 2019, arXiv:1812.00332), from its published configurations. */
import { createBuilder } from "../builder.ts";
import type { Graph } from "../types.ts";
import type { NetworkOptions } from "./mobilenet.ts";
import { adaptStrides } from "./strides.ts";

interface Description {
  readonly stem: number;
  readonly first: number;
  readonly widths: readonly number[];
  readonly head: number;
  /** Kernel and expansion of each block, "-" for none; stages separated by |. */
  readonly blocks: string;
}

const MOBILE_BLOCKS = "k5e3 k3e3 - - | k7e3 k3e3 k5e3 k5e3 | k7e6 k5e3 k5e3 k5e3 | k5e6 k5e3 k5e3 k5e3 | k7e6 k7e6 k7e3 k7e3 | k7e6";

const DESCRIPTIONS = {
  cpu: {
    stem: 40,
    first: 24,
    widths: [32, 48, 88, 104, 216, 360],
    head: 1432,
    blocks: "k3e6 k3e3 k3e3 k3e3 | k3e6 k3e3 k3e3 k5e3 | k3e6 - - k3e3 | k5e6 k3e3 k3e3 k3e3 | k5e6 k5e3 k5e3 k3e3 | k5e6",
  },
  gpu: {
    stem: 40,
    first: 24,
    widths: [32, 56, 112, 128, 256, 432],
    head: 1728,
    blocks: "k5e3 - - - | k7e3 - - k3e3 | k7e6 - - k5e3 | k5e6 - k3e3 k5e3 | k7e6 k7e6 k7e6 k5e6 | k7e6",
  },
  mobile: { stem: 32, first: 16, widths: [32, 40, 80, 96, 192, 320], head: 1280, blocks: MOBILE_BLOCKS },
  "mobile-14": { stem: 48, first: 24, widths: [40, 56, 112, 136, 256, 448], head: 1792, blocks: MOBILE_BLOCKS },
} as const satisfies Record<string, Description>;

export type ProxylessTarget = keyof typeof DESCRIPTIONS;
const STAGE_STRIDES = [2, 2, 2, 1, 2, 1];

export function proxyless({ input, classes, target }: NetworkOptions & { readonly target: ProxylessTarget }): Graph {
  const { stem, first, widths, head, blocks }: Description = DESCRIPTIONS[target];
  const strides = adaptStrides([2, ...STAGE_STRIDES], input[1]!);
  const b = createBuilder({ name: `proxyless-${target}`, input, norm: { epsilon: 1e-3, momentum: 0.1 } });
  let x = b.convBn(b.input, { name: "stem", outChannels: stem, kernel: 3, stride: strides[0]!, activation: "relu6" });
  x = b.mbconv(x, { name: "first", outChannels: first, expand: 1, kernel: 3, stride: 1, residual: false });
  for (const [s, stage] of blocks.split("|").entries()) {
    for (const [i, choice] of stage.trim().split(" ").entries()) {
      const match = /^k(\d)e(\d)$/.exec(choice);
      if (!match) continue;
      const stride = i === 0 ? strides[s + 1]! : 1;
      x = b.mbconv(x, {
        name: `stage${s + 1}.block${i + 1}`,
        outChannels: widths[s]!,
        kernel: Number(match[1]),
        expand: Number(match[2]),
        stride,
      });
    }
  }
  x = b.convBn(x, { name: "head", outChannels: head, kernel: 1, activation: "relu6" });
  return b.build(b.classifier(x, { classes }));
}
