import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBuilder } from "./builder.ts";
import { inspectGraph, peakActivationBytes } from "./counts.ts";
import { buildNetwork } from "./networks/index.ts";
import { mobilenetV1 } from "./networks/mobilenet.ts";

const imagenet = { input: [3, 224, 224], classes: 1000 };
const cifar = { input: [3, 32, 32], classes: 10 };
/** In millions to the digits that were published. */
const millions = (value: number, digits: number) => (value / 1e6).toFixed(digits);

describe("published multiply-accumulates and parameters, to every printed digit", () => {
  test.each([
    ["mobilenet-v1", imagenet, "568.74", 4_231_976],
    ["mobilenet-v1:0.75", imagenet, "325.40", null],
    ["mobilenet-v2", imagenet, "300.77", 3_504_872],
    ["mobilenet-v2:0.35", imagenet, "59.29", null],
    ["mobilenet-v2:0.5", imagenet, "97.13", null],
    ["mobilenet-v2:0.75", imagenet, "209.07", null],
    ["mobilenet-v2:1.3", imagenet, "509.37", null],
    ["mobilenet-v2:1.4", imagenet, "582.20", null],
    ["resnet-20", cifar, "40.55", null],
    ["resnet-32", cifar, "68.86", null],
    ["resnet-44", cifar, "97.17", null],
    ["resnet-56", cifar, "125.49", null],
    ["resnet-110", cifar, "252.89", null],
    ["proxyless-cpu", imagenet, "439.24", null],
    ["proxyless-gpu", imagenet, "465.26", null],
    ["proxyless-mobile", imagenet, "320.43", null],
    ["proxyless-mobile-14", imagenet, "580.88", null],
  ] as const)("%s", (name, options, macs, params) => {
    const counts = inspectGraph(buildNetwork(name, options));
    expect(millions(counts.macs, 2)).toBe(macs);
    if (params !== null) expect(counts.params).toBe(params);
    expect(counts.bytes).toBe(4 * counts.params);
  });

  test.each([
    ["mobilenet-v1:0.75", imagenet, "2.586"],
    ["resnet-20", cifar, "0.270"],
    ["resnet-32", cifar, "0.464"],
    ["resnet-44", cifar, "0.659"],
    ["resnet-56", cifar, "0.853"],
    ["resnet-110", cifar, "1.728"],
    ["proxyless-cpu", imagenet, "4.362"],
    ["proxyless-gpu", imagenet, "7.120"],
    ["proxyless-mobile", imagenet, "4.081"],
    ["proxyless-mobile-14", imagenet, "6.858"],
  ] as const)("%s has %s M parameters", (name, options, params) => {
    expect(millions(inspectGraph(buildNetwork(name, options)).params, 3)).toBe(params);
  });

  test("MobileNetV1 with the channels that AMC published", () => {
    const widths = [24, 48, 96, 80, 192, 200, 328, 352, 368, 360, 328, 400, 736, 752];
    const counts = inspectGraph(mobilenetV1({ ...imagenet, widths }));
    expect(millions(counts.macs, 2)).toBe("293.87");
    expect(millions(counts.params, 3)).toBe("2.408");
  });
});

test("plain-20 costs what resnet-20 costs: its shortcuts are free", () => {
  const [plain, residual] = ["plain-20", "resnet-20"].map((name) => inspectGraph(buildNetwork(name, cifar)));
  expect(plain!.macs).toBe(residual!.macs);
  expect(plain!.params).toBe(residual!.params);
});

describe("peak activation memory by liveness", () => {
  const settings = { kernel: 3 };
  test("a chain needs a layer's input and output", () => {
    const b = createBuilder({ name: "chain", input: [4, 8, 8] });
    const x = b.conv(b.input, { ...settings, name: "a", outChannels: 8 });
    const graph = b.build(b.conv(x, { ...settings, name: "b", outChannels: 2 }));
    expect(peakActivationBytes(graph)).toBe(4 * (4 + 8) * 64);
  });
  test("a residual keeps its input alive; activations write over theirs", () => {
    const b = createBuilder({ name: "residual", input: [4, 8, 8] });
    const y = b.activation(b.conv(b.input, { ...settings, name: "a", outChannels: 8 }), "relu", "act");
    const z = b.conv(y, { ...settings, name: "b", outChannels: 4 });
    expect(peakActivationBytes(b.build(b.add(b.input, z, "sum")))).toBe(4 * (4 + 8 + 4) * 64);
  });
  test("never less than the largest layer's input and output", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 6 }), (widths) => {
        const b = createBuilder({ name: "any", input: [3, 8, 8] });
        let x = b.input;
        for (const [i, outChannels] of widths.entries()) x = b.conv(x, { ...settings, name: `c${i}`, outChannels });
        const largest = Math.max(...[3, ...widths].slice(0, -1).map((w, i) => w + widths[i]!));
        expect(peakActivationBytes(b.build(x))).toBe(4 * largest * 64);
      }),
    );
  });
});

test("layers add up to the whole", () => {
  const counts = inspectGraph(buildNetwork("mobilenet-v2:0.35", cifar));
  const sum = (of: (layer: (typeof counts.layers)[number]) => number) => counts.layers.reduce((total, layer) => total + of(layer), 0);
  expect(sum((layer) => layer.macs)).toBe(counts.macs);
  expect(sum((layer) => layer.params)).toBe(counts.params);
});
