/** @file Latency of a pruned network from operators measured at a grid of widths. */
import { AppError } from "../errors.ts";
import { createBuilder } from "../graph/builder.ts";
import type { Graph } from "../graph/types.ts";
import type { Device } from "../hardware/device.ts";
import { roundedCount } from "./budget.ts";
import { type CostOf, type LayerShape, sumOverLayers, type Width } from "./costs.ts";

/** Shares of a layer's channels at which it is measured; between them latencies are interpolated. */
const SHARES = [0.25, 0.5, 0.75, 1];

/** The layer alone at other widths; of a depthwise convolution both are the same. */
function fragment({ node, input }: LayerShape, channelsIn: number, channelsOut: number, isDepthwise: boolean): Graph {
  const shape = [channelsIn, ...input.slice(1)];
  const b = createBuilder({ name: "fragment", input: shape });
  if (node.op === "linear") return b.build(b.linear(b.input, { name: "layer", outFeatures: channelsOut, bias: node.attrs.hasBias }));
  const attrs = { ...node.attrs, hasBias: true, outChannels: channelsOut, groups: isDepthwise ? channelsIn : node.attrs.groups };
  return b.build(b.append("conv", "layer", [b.input], attrs));
}

const isFixed = ({ perAtom }: Width) => perAtom.length === 0;

/** Widths at which a side of a layer is measured, ascending. */
function gridOf(width: Width, full: number, step: number, groups: number): number[] {
  if (isFixed(width)) return [full];
  const multiple = step * groups;
  return [...new Set(SHARES.map((share) => (full % groups === 0 ? roundedCount(full, share, Math.min(multiple, full)) : full)))].sort(
    (a, b) => a - b,
  );
}

/** Position of `x` on a grid, for linear interpolation; outside, the nearest interval goes on. */
function locate(grid: readonly number[], x: number): { low: number; high: number; at: number } {
  if (grid.length === 1) return { low: 0, high: 0, at: 0 };
  let high = grid.findIndex((value, i) => i > 0 && value >= x);
  if (high < 0) high = grid.length - 1;
  const low = high - 1;
  return { low, high, at: (x - grid[low]!) / (grid[high]! - grid[low]!) };
}

/**
 * Latency of the layers, ms, by the atoms that each group keeps. Operators between layers are not counted: the caller compares
 * with a whole model and scales.
 */
export async function latencyCost(layers: readonly LayerShape[], device: Device, step: number): Promise<CostOf> {
  const tables = layers.map((layer) => {
    const groups = layer.node.op === "conv" && !layer.isDepthwise ? layer.node.attrs.groups : 1;
    const grids = {
      in: gridOf(layer.widthIn, layer.input[0]!, step, groups),
      out: layer.isDepthwise ? [0] : gridOf(layer.widthOut, layer.output[0]!, step, groups),
    };
    const multiplier = layer.output[0]! / layer.input[0]!;
    const graphs = grids.in.map((c) => grids.out.map((n) => fragment(layer, c, layer.isDepthwise ? c * multiplier : n, layer.isDepthwise)));
    return { layer, grids, graphs };
  });
  await device.prepare?.(tables.flatMap(({ graphs }) => graphs.flat()));
  const values = new Map<LayerShape, { grids: { in: number[]; out: number[] }; ms: number[][] }>();
  for (const { layer, grids, graphs } of tables) {
    const ms: number[][] = [];
    for (const row of graphs) {
      const measured: number[] = [];
      for (const graph of row) measured.push(await device.latencyMs(graph));
      ms.push(measured);
    }
    values.set(layer, { grids, ms });
  }
  return sumOverLayers(layers, (layer, channelsIn, channelsOut) => {
    const { grids, ms } = values.get(layer)!;
    const [row, column] = [locate(grids.in, channelsIn), locate(grids.out, layer.isDepthwise ? 0 : channelsOut)];
    const along = (i: number) => (1 - column.at) * ms[i]![column.low]! + column.at * ms[i]![column.high]!;
    return Math.max(0, (1 - row.at) * along(row.low) + row.at * along(row.high));
  });
}

/** Widths by which a device's staircase is looked for. */
const STEPS = [16, 8, 4, 2] as const;
/** A width one above a step that costs this share of the next step is on a stair. */
const STAIR = 0.93;
/** A depthwise convolution that costs this many times what a wider one does has no kernel of its own at this width. */
const WITHOUT_KERNEL = 1.5;

/**
 * The largest step of channels that a device charges for as a whole: a 1×1 convolution of 4·step + 1 channels costs nearly what
 * 5·step cost; where the network has depthwise convolutions also the smallest step at whose widths those have fast kernels (in ONNX Runtime
 * multiples of 4; others take eight times as long). 1 when there is none, or when the device is a table that does not tell.
 */
export async function channelStep(device: Device, { hasDepthwise }: { readonly hasDepthwise: boolean }): Promise<number> {
  const conv = (channels: number, kernel: number, groups: number): Graph => {
    const b = createBuilder({ name: "stair", input: [channels, 16, 16] });
    return b.build(b.conv(b.input, { name: "layer", outChannels: channels, kernel, groups, bias: true }));
  };
  const widths = (step: number) => [conv(4 * step + 1, 1, 1), conv(5 * step, 1, 1)] as const;
  const depthwise = (channels: number) => conv(channels, 3, channels);
  const [widest] = STEPS;
  const cost = (graph: Graph) => device.latencyMs(graph);
  const charged = async (): Promise<number> => {
    for (const step of STEPS) {
      const [above, next] = widths(step);
      if ((await cost(above)) >= STAIR * (await cost(next))) return step;
    }
    return 1;
  };
  const withKernels = async (): Promise<number> => {
    const whole = await cost(depthwise(5 * widest));
    for (const step of [1, ...STEPS.toReversed()]) if ((await cost(depthwise(4 * widest + step))) <= WITHOUT_KERNEL * whole) return step;
    return 1;
  };
  try {
    const depthwiseWidths = hasDepthwise ? [1, ...STEPS].map((step) => depthwise(4 * widest + step)) : [];
    await device.prepare?.([...STEPS.flatMap((step) => widths(step)), ...depthwiseWidths]);
    return Math.max(await charged(), hasDepthwise ? await withKernels() : 1);
  } catch (error) {
    if (!(error instanceof AppError && error.code === "CONFIG")) throw error;
    return 1;
  }
}
