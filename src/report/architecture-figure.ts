/** @file A found architecture: a box for every block, as wide as it has channels, as high as its kernel. Paper: arXiv:1812.00332, fig. 4. */
import * as Plot from "@observablehq/plot";
import { COLOURS } from "./colours.ts";
import { svgOf } from "./figure.ts";

export interface DrawnBlock {
  /** "stage2.block1". */
  readonly name: string;
  readonly stage: number;
  readonly kernel: number;
  /** Of the depthwise convolution. */
  readonly channels: number;
}

interface CardLayer {
  readonly name: string;
  readonly op: string;
  readonly output: readonly number[];
  readonly params: number;
}

/** The blocks of a network whose layers are named by stage and block; none for other networks. */
export function blocksOfLayers(layers: readonly CardLayer[]): DrawnBlock[] {
  return layers.flatMap(({ name, op, output, params }) => {
    const [, block, stage] = /^(stage(\d+)\.block\d+)\..*depthwise/.exec(name) ?? [];
    if (op !== "conv" || !block) return [];
    const channels = output[0]!;
    return [{ name: block, stage: Number(stage), kernel: Math.round(Math.sqrt(params / channels)), channels }];
  });
}

const PIXELS_PER_KERNEL = 10;

export function architectureFigure(blocks: readonly DrawnBlock[]): string {
  const gap = Math.max(...blocks.map(({ channels }) => channels)) / 8;
  let at = 0;
  const boxes = blocks.map((block) => {
    const left = at + gap;
    at = left + block.channels;
    return { ...block, left, right: at, middle: (left + at) / 2, label: `${block.kernel}×${block.kernel}`, colour: block.stage };
  });
  const most = Math.max(...blocks.map(({ kernel }) => kernel));
  return svgOf({
    width: 820,
    height: PIXELS_PER_KERNEL * most + 90,
    marginLeft: 10,
    marginRight: 10,
    x: { axis: null, domain: [0, at + gap] },
    y: { axis: null, domain: [-2, most + 1] },
    color: { scheme: "Observable10", type: "ordinal" },
    marks: [
      Plot.rect(boxes, { x1: "left", x2: "right", y1: 0, y2: "kernel", fill: "colour", title: "name" }),
      Plot.text(boxes, { x: "middle", y: "kernel", text: "label", dy: -7, fontSize: 9 }),
      Plot.text(boxes, { x: "middle", y: 0, text: (d: DrawnBlock) => `${d.channels}`, dy: 9, fontSize: 9, fill: COLOURS.grey }),
    ],
  });
}
