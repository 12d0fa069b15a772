/** @file The residual networks for CIFAR-10 and their plain counterparts. Paper: He et al. 2015, arXiv:1512.03385, section 4.2. */
import { createBuilder } from "../builder.ts";
import type { Graph } from "../types.ts";
import type { NetworkOptions } from "./mobilenet.ts";

/** How a block's input reaches its output where shapes change: A subsamples and appends zeros, B convolves 1×1, none leaves it out. */
export type Shortcut = "A" | "B" | "none";

/** 3 stages of (depth − 2)/6 blocks of two 3×3 convolutions with 16, 32 and 64 channels. */
export function cifarResnet({
  input,
  classes,
  depth,
  shortcut,
}: NetworkOptions & { readonly depth: number; readonly shortcut: Shortcut }): Graph {
  const b = createBuilder({ name: `${shortcut === "none" ? "plain" : "resnet"}-${depth}${shortcut === "B" ? "-b" : ""}`, input });
  let x = b.convBn(b.input, { name: "stem", outChannels: 16, kernel: 3, activation: "relu" });
  for (const [stage, width] of [16, 32, 64].entries()) {
    for (let i = 0; i < (depth - 2) / 6; i++) {
      const name = `stage${stage + 1}.block${i + 1}`;
      const stride = stage > 0 && i === 0 ? 2 : 1;
      const channels = b.shape(x)[0]!;
      const inner = b.convBn(x, { name: `${name}.1`, outChannels: width, kernel: 3, stride, activation: "relu" });
      if (shortcut === "none") {
        x = b.convBn(inner, { name: `${name}.2`, outChannels: width, kernel: 3, activation: "relu" });
        continue;
      }
      const y = b.convBn(inner, { name: `${name}.2`, outChannels: width, kernel: 3 });
      let back = x;
      if (stride !== 1 || channels !== width) {
        if (shortcut === "B") back = b.convBn(x, { name: `${name}.shortcut`, outChannels: width, kernel: 1, stride });
        else {
          const sampled = b.averagePool(x, { name: `${name}.subsample`, kernel: 1, stride });
          back = width > channels ? b.padChannels(sampled, width - channels, `${name}.pad`) : sampled;
        }
      }
      x = b.activation(b.add(back, y, `${name}.add`), "relu", `${name}.act`);
    }
  }
  return b.build(b.classifier(x, { classes }));
}
