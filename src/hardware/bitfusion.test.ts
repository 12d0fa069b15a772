import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import { createBitFusion } from "./bitfusion.ts";
import type { LayerGeometry, Precision } from "./precision.ts";

const device = createBitFusion();
const bits = (weightBits: number, activationBits: number): Precision => ({ weightBits, activationBits });
const cyclesOf = (layer: LayerGeometry, precision: Precision) => device.layerCost(layer, precision).latencyMs * 500_000;

/** A square layer whose map keeps its size but for the stride. */
function square(inChannels: number, outChannels: number, size: number, kernel = 1, stride = 1, groups = 1): LayerGeometry {
  const made = Math.ceil(size / stride);
  return {
    inChannels,
    outChannels,
    kernel: [kernel, kernel],
    stride: [stride, stride],
    groups,
    inputSize: [size, size],
    outputSize: [made, made],
  };
}
const depthwise = (channels: number, size: number, kernel: number, stride = 1) =>
  square(channels, channels, size, kernel, stride, channels);

describe("published costs of layers", () => {
  test.each([
    ["24 → 144 of 56×56", square(24, 144, 56), bits(8, 8), 153_808],
    ["1152 → 320 of 7×7", square(1152, 320, 7), bits(8, 8), 44_108],
    ["96 → 576 of 14×14", square(96, 576, 14), bits(8, 8), 46_992],
    ["96 → 576 of 14×14", square(96, 576, 14), bits(4, 4), 39_176],
    ["3×3 of 576 channels, 14×14", depthwise(576, 14, 3), bits(4, 4), 18 * 2806],
    ["3×3 of 576 channels, 14×14", depthwise(576, 14, 3), bits(8, 8), 72 * 1868],
    ["3×3 of 960 channels, 7×7", depthwise(960, 7, 3), bits(8, 8), 120 * 624],
    ["7×7 of 1152 channels, 7×7", depthwise(1152, 7, 7), bits(8, 8), 391_680],
    ["APQ's stem", square(3, 32, 224, 3, 2), bits(8, 8), 147_952],
    ["APQ's last convolution", square(320, 1280, 7), bits(8, 8), 40_804],
  ])("%s in cycles", (_, layer, precision, cycles) => {
    expect(cyclesOf(layer, precision)).toBeCloseTo(cycles, 6);
  });

  test.each([
    ["96 → 576 of 14×14", square(96, 576, 14), bits(4, 4), 0.134484],
    ["96 → 576 of 14×14", square(96, 576, 14), bits(8, 8), 0.168624],
    ["7×7 of 1152 channels, 7×7", depthwise(1152, 7, 7), bits(8, 8), 0.471859],
    ["APQ's stem", square(3, 32, 224, 3, 2), bits(8, 8), 0.506184],
    ["APQ's last convolution", square(320, 1280, 7), bits(8, 8), 0.151808],
  ])("%s in mJ", (_, layer, precision, energyMj) => {
    expect(device.layerCost(layer, precision).energyMj).toBeCloseTo(energyMj, 5);
  });
});

/** APQ's network of one kernel, expansion and depth. Its stem and last convolution have 8 bits; first block and classifier do not count. */
function apqCost(kernel: number, expansion: number, depth: number, precision: Precision) {
  const layers: [LayerGeometry, Precision][] = [
    [square(3, 32, 224, 3, 2), bits(8, 8)],
    [square(320, 1280, 7), bits(8, 8)],
  ];
  let [channels, size] = [16, 112];
  for (const [outChannels, firstStride, blocks] of [
    [24, 2, depth],
    [40, 2, depth],
    [80, 2, depth],
    [96, 1, depth],
    [192, 2, depth],
    [320, 1, 1],
  ] as const) {
    for (let block = 0; block < blocks; block++) {
      const stride = block === 0 ? firstStride : 1;
      const middle = expansion * channels;
      layers.push([square(channels, middle, size), precision], [depthwise(middle, size, kernel, stride), precision]);
      size /= stride;
      layers.push([square(middle, outChannels, size), precision]);
      channels = outChannels;
    }
  }
  const costs = layers.map(([layer, layerPrecision]) => device.layerCost(layer, layerPrecision));
  const sum = (values: number[]) => values.reduce((total, value) => total + value, 0).toFixed(2);
  return [sum(costs.map(({ latencyMs }) => latencyMs)), sum(costs.map(({ energyMj }) => energyMj!))];
}

describe("published costs of networks, to every printed digit", () => {
  test.each([
    [7, 6, 4, 8, "46.79", "40.68"],
    [3, 6, 4, 8, "12.86", "17.58"],
    [3, 4, 2, 8, "4.67", "6.64"],
    [3, 6, 4, 6, "12.66", "16.67"],
    [3, 6, 4, 4, "7.38", "12.85"],
    [3, 4, 2, 4, "2.96", "5.11"],
  ])("APQ's with kernels of %d, expansion %d, depth %d, at %d bits", (kernel, expansion, depth, width, latencyMs, energyMj) => {
    expect(apqCost(kernel, expansion, depth, bits(width, width))).toEqual([latencyMs, energyMj]);
  });

  test("MobileNetV2 at 8 bits: 9.10 ms, 12.46 mJ", async () => {
    const graph = buildNetwork("mobilenet-v2", { input: [3, 224, 224], classes: 1000 });
    expect((await device.latencyMs(graph)).toFixed(2)).toBe("9.10");
    expect((await device.energyMj(graph))!.toFixed(2)).toBe("12.46");
  });
});

const DATA = join(import.meta.dirname, "../../../shared/data/apq-bitfusion-lut-half.json");
test.skipIf(!existsSync(DATA))("every entry of APQ's table, latency and energy (skipped without apq-bitfusion-lut-half.json)", () => {
  const { entries } = JSON.parse(readFileSync(DATA, "utf8")) as { entries: Record<string, { latency: number; energy: number }> };
  let worst = 0;
  let count = 0;
  for (const [key, { latency, energy }] of Object.entries(entries)) {
    const numbers = key.match(/\d+/g)?.map(Number);
    if (!numbers) continue;
    const [inChannels, outChannels, size, kernel, stride, , groups, weightBits, activationBits] = numbers as [number, ...number[]];
    const cost = device.layerCost(square(inChannels, outChannels!, size!, kernel, stride, groups), bits(weightBits!, activationBits!));
    worst = Math.max(worst, Math.abs(cost.latencyMs / latency - 1), Math.abs(cost.energyMj! / energy - 1));
    count++;
  }
  expect(count).toBe(3519);
  expect(worst).toBeLessThan(1e-9);
});

const anyWidth = fc.constantFrom(2, 3, 4, 5, 6, 7, 8);
const anyLayer = fc
  .record({
    channelsPerGroup: fc.constantFrom(1, 3, 8, 20, 64),
    filtersPerGroup: fc.constantFrom(1, 8, 40, 130),
    groups: fc.constantFrom(1, 1, 2, 24),
    kernel: fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 })),
    stride: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 2 })),
    outputSize: fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 })),
  })
  .map(
    ({ channelsPerGroup, filtersPerGroup, groups, kernel, stride, outputSize }): LayerGeometry => ({
      inChannels: channelsPerGroup * groups,
      outChannels: filtersPerGroup * groups,
      groups,
      kernel,
      stride,
      outputSize,
      inputSize: [outputSize[0] * stride[0], outputSize[1] * stride[1]],
    }),
  );

describe("any layer", () => {
  test("costs something, not less than its products need, and the same again", () => {
    fc.assert(
      fc.property(anyLayer, anyWidth, anyWidth, (layer, weightBits, activationBits) => {
        const cost = device.layerCost(layer, bits(weightBits, activationBits));
        const products = (layer.inChannels / layer.groups) * layer.outChannels * layer.kernel[0] * layer.kernel[1];
        const perCycle = 16 * 32 * 16;
        expect(cost.latencyMs * 500_000).toBeGreaterThanOrEqual((products * layer.outputSize[0] * layer.outputSize[1]) / perCycle);
        expect(cost.energyMj).toBeGreaterThan(0);
        expect(createBitFusion().layerCost(layer, bits(weightBits, activationBits))).toEqual(cost);
      }),
      { numRuns: 50 },
    );
  });

  // Between widths it may: padding to the array grows, and so do the groups of depthwise layers. Energy may too: fewest cycles come first.
  test("is never faster with more bits, while they need multipliers of the same width", () => {
    const pairs = fc.constantFrom<[number, number]>([3, 4], [5, 6], [6, 7], [5, 8], [7, 8]);
    fc.assert(
      fc.property(anyLayer, pairs, anyWidth, (layer, [fewer, more], other) => {
        expect(cyclesOf(layer, bits(more, other))).toBeGreaterThanOrEqual(cyclesOf(layer, bits(fewer, other)));
        expect(cyclesOf(layer, bits(other, more))).toBeGreaterThanOrEqual(cyclesOf(layer, bits(other, fewer)));
      }),
      { numRuns: 50 },
    );
  });

  test("of several groups costs as much as its groups", () => {
    const [whole, group] = [square(32, 64, 10, 3, 1, 4), square(8, 16, 10, 3)].map((layer) => device.layerCost(layer, bits(5, 3)));
    expect(whole!.latencyMs).toBeCloseTo(4 * group!.latencyMs, 12);
    expect(whole!.energyMj).toBeCloseTo(4 * group!.energyMj!, 12);
  });

  test("that is as wide as another one is high costs the same", () => {
    const layer: LayerGeometry = { ...square(16, 24, 1, 3), inputSize: [6, 20], outputSize: [6, 20] };
    const turned: LayerGeometry = { ...layer, inputSize: [20, 6], outputSize: [20, 6] };
    expect(device.layerCost(layer, bits(4, 4))).toEqual(device.layerCost(turned, bits(4, 4)));
  });
});

test("a graph costs the sum of its layers at 8 bits", async () => {
  const b = createBuilder({ name: "net", input: [3, 8, 8] });
  const graph = b.build(b.classifier(b.convBn(b.input, { name: "c", outChannels: 8, kernel: 3, activation: "relu6" }), { classes: 2 }));
  const costs = [square(3, 8, 8, 3), square(8, 2, 1)].map((layer) => device.layerCost(layer, bits(8, 8)));
  expect(await device.latencyMs(graph)).toBeCloseTo(costs[0]!.latencyMs + costs[1]!.latencyMs, 12);
  expect(await device.energyMj(graph)).toBeCloseTo(costs[0]!.energyMj! + costs[1]!.energyMj!, 12);
});

test.each([
  [bits(9, 8), "device bitfusion: weightBits must be one of 2, 3, 4, 5, 6, 7, 8, got 9"],
  [bits(8, 1), "device bitfusion: activationBits must be one of 2, 3, 4, 5, 6, 7, 8, got 1"],
  [bits(4.5, 4), "weightBits must be one of 2, 3, 4, 5, 6, 7, 8, got 4.5"],
  [bits(32, 32), "weightBits must be one of 2, 3, 4, 5, 6, 7, 8, got 32"],
])("bits %j are refused", (precision, message) => {
  expect(() => device.layerCost(square(8, 8, 4), precision)).toThrow(message);
});

test("a kernel that memory cannot hold is refused", () => {
  expect(() => device.layerCost(square(8, 8, 100, 99), bits(8, 8))).toThrow("the kernel's weights must fit into on-chip memory, got 99×99");
});
