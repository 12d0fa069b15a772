/** @file Files that are damaged, hostile, or use more than Fettle can compute. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AppError } from "../../errors.ts";
import { inspectGraph } from "../../graph/counts.ts";
import { opaqueNodes, requireComputable } from "../../graph/opaque.ts";
import { inferShapes } from "../../graph/shapes.ts";
import { modelType } from "../schema.ts";
import { numbers, onnxFile } from "./fixtures.ts";
import { importOnnx } from "./import.ts";

const goldens = join(import.meta.dirname, "../../../test/golden/onnx");
const relu = { op: "Relu", in: ["x"], out: "y" };
const weight = { w: { dims: [4, 4, 3, 3], data: numbers(144) } };
const conv = { op: "Conv", in: ["x", "w"], out: "y" };

/** The file's message, changed. */
function changed(bytes: Uint8Array, change: (model: Record<string, never>) => void): Uint8Array {
  const model = modelType.toObject(modelType.decode(bytes), { longs: String }) as Record<string, never>;
  change(model);
  return modelType.encode(modelType.fromObject(model)).finish();
}

describe("is refused in one line", () => {
  const read = (bytes: Uint8Array, options = {}) => importOnnx(bytes, "m.onnx", options);
  const good = onnxFile({ nodes: [conv], floats: weight });

  test.each<[string, () => Uint8Array, RegExp]>([
    ["another kind of file", () => Buffer.from("PK\x03\x04 not a model"), /^onnx: m\.onnx must be a whole ONNX file, got [^\n]+$/],
    ["an empty file", () => new Uint8Array(), /^onnx: m\.onnx must be an ONNX model with nodes, got none$/],
    ["a truncated file", () => good.subarray(0, good.length - 100), /^onnx: m\.onnx must be a whole ONNX file, got [^\n]+$/],
    ["an old operator set", () => onnxFile({ nodes: [relu], opset: 6 }), /must use opset 7 or later, got 6/],
    [
      "a cycle",
      () =>
        onnxFile({
          nodes: [
            { op: "Add", in: ["x", "b"], out: "a" },
            { op: "Relu", in: ["a"], out: "b" },
          ],
        }),
      /must have no cycle, got one through node "Add:a" \(Add\)/,
    ],
    ["a node that reads itself", () => onnxFile({ nodes: [{ op: "Add", in: ["x", "a"], out: "a" }] }), /must have no cycle/],
    ["an unknown value", () => onnxFile({ nodes: [{ op: "Relu", in: ["z"], out: "y" }] }), /must define every value, got "z"/],
    ["a value made twice", () => onnxFile({ nodes: [relu, relu] }), /must make every value once, got "y" twice/],
    [
      "an open input",
      () => onnxFile({ nodes: [relu], input: ["N", 3, "h", "w"] }),
      /input of known shape, got 3x\?x\? — give it with --input CxHxW/,
    ],
    [
      "fewer numbers than the shape says",
      () => onnxFile({ nodes: [conv], floats: { w: { dims: [4, 4, 3, 3], data: numbers(9) } } }),
      /constant "w" must have the 576 bytes of \[4,4,3,3\], got 36/,
    ],
    [
      "a shape that overflows",
      () => onnxFile({ nodes: [conv], floats: { w: { dims: [2 ** 40, 2 ** 40], data: [] } } }),
      /constant "w" must have a possible shape, got \[1099511627776,1099511627776\]/,
    ],
    [
      "an output that is not computed",
      () => onnxFile({ nodes: [relu], output: "z" }),
      /the output "z" of m\.onnx must depend on its input/,
    ],
  ])("%s", async (_, make, message) => {
    await expect(read(make())).rejects.toThrow(message);
  });

  test("another input than the file has", async () => {
    await expect(read(good, { inputShape: [3, 8, 8] })).rejects.toThrow("the input of m.onnx must be 4x6x6 as the file says, got 3x8x8");
    const open = onnxFile({ nodes: [relu], input: ["N", 3, "h", "w"] });
    expect((await read(open, { inputShape: [3, 8, 8] })).graph.input.shape).toEqual([3, 8, 8]);
  });

  test("external data outside the folder, missing or short", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fettle-external-"));
    const external = (location: string, length = 576) =>
      changed(good, (model) => {
        const graph = (model as unknown as { graph: { initializer: Record<string, unknown>[] } }).graph;
        Object.assign(graph.initializer[0]!, {
          rawData: undefined,
          dataLocation: 1,
          externalData: [
            { key: "location", value: location },
            { key: "offset", value: "4" },
            { key: "length", value: `${length}` },
          ],
        });
      });
    const open = (bytes: Uint8Array) => importOnnx(bytes, join(dir, "m.onnx"));
    await expect(open(external("../secret"))).rejects.toThrow(/must lie in the model's folder, got "\.\.\/secret"/);
    await expect(open(external("/etc/passwd"))).rejects.toThrow(/must lie in the model's folder/);
    await expect(open(external("w.bin"))).rejects.toThrow(/must be readable, got ENOENT/);
    writeFileSync(join(dir, "w.bin"), new Uint8Array(100));
    await expect(open(external("w.bin"))).rejects.toThrow(/\(100 bytes\), got bytes 4 to 580/);
    await expect(open(external("w.bin", 12))).rejects.toThrow(/must have 576 bytes, got 12/);
    writeFileSync(join(dir, "w.bin"), Buffer.concat([Buffer.alloc(4), Buffer.from(numbers(144).buffer)]));
    expect((await open(external("w.bin"))).weights.get("w")?.data).toEqual(numbers(144));
  });

  test("a few bytes that ask for terabytes stay a node that cannot be computed", async () => {
    const file = onnxFile({
      ints: { huge: [1 << 20, 1 << 20] },
      nodes: [
        { op: "ConstantOfShape", in: ["huge"], out: "c" },
        { op: "Add", in: ["x", "c"], out: "y" },
      ],
    });
    const { graph } = await importOnnx(file, "m.onnx");
    expect(opaqueNodes(graph)[0]?.reason).toMatch(/its result would have 1099511627776 numbers/);
  });

  test("a negative size gives nothing back to what may still be made", async () => {
    const makes = Array.from({ length: 40 }, (_, i) => ({ op: "ConstantOfShape", in: ["large"], out: `c${i}` }));
    const file = onnxFile({
      ints: { odd: [-1, 1 << 40], large: [1 << 10, 1 << 10] },
      nodes: [{ op: "ConstantOfShape", in: ["odd"], out: "none" }, ...makes, { op: "Add", in: ["x", "c39"], out: "y" }],
    });
    const { graph } = await importOnnx(file, "m.onnx");
    expect(opaqueNodes(graph).map(({ reason }) => reason)).toContainEqual(expect.stringMatching(/its result would have 1048576 numbers/));
  });

  test("many small requests are bounded together", async () => {
    const makes = Array.from({ length: 40 }, (_, i) => ({ op: "ConstantOfShape", in: ["large"], out: `c${i}` }));
    const file = onnxFile({ ints: { large: [1 << 10, 1 << 10] }, nodes: [...makes, { op: "Add", in: ["x", "c39"], out: "y" }] });
    const { graph } = await importOnnx(file, "m.onnx");
    expect(opaqueNodes(graph)[0]?.reason).toMatch(/its result would have 1048576 numbers/);
  });
});

describe("what would be computed wrongly is left to be computed by nobody:", () => {
  const opaqueOf = async (file: Uint8Array) =>
    opaqueNodes((await importOnnx(file, "m.onnx")).graph).map(({ opType, reason }) => [opType, reason]);

  test("a reshape that moves channels into the batch", async () => {
    const file = onnxFile({
      input: [1, 4, 6, 6],
      ints: { rows: [4, -1] },
      nodes: [
        { op: "Reshape", in: ["x", "rows"], out: "r" },
        { op: "Softmax", in: ["r"], out: "y" },
      ],
    });
    expect((await opaqueOf(file))[0]).toEqual(["Reshape", "a reshape to [4,-1], which mixes samples"]);
  });

  test("an output of integers", async () => {
    const file = onnxFile({ floats: { step: { dims: [], data: [0.1] } }, nodes: [{ op: "QuantizeLinear", in: ["x", "step"], out: "y" }] });
    expect((await opaqueOf(file))[0]?.[1]).toBe("an output of integers");
  });
});

test("nodes that the first output does not need are left out", async () => {
  const file = onnxFile({
    floats: weight,
    nodes: [
      { op: "Conv", in: ["x", "w"], out: "y" },
      { op: "ArgMax", in: ["y"], out: "best" },
    ],
    output: "y",
  });
  const { graph } = await importOnnx(file, "m.onnx");
  expect(graph.nodes.map(({ op }) => op)).toEqual(["conv"]);
});

describe("operators that Fettle cannot compute", () => {
  const file = onnxFile({
    floats: weight,
    nodes: [
      { op: "Conv", in: ["x", "w"], out: "c" },
      { op: "Tanh", in: ["c"], out: "t" },
      { op: "Own", in: ["t"], out: "o", domain: "custom" },
      { op: "Conv", in: ["o", "w"], out: "y" },
    ],
  });

  test("are counted around, and named with the reason", async () => {
    const { graph } = await importOnnx(file, "m.onnx");
    expect(inspectGraph(graph).macs).toBe(4 * 4 * 9 * 16);
    expect(inferShapes(graph).get("Tanh:t")).toEqual([4, 4, 4]);
    expect(opaqueNodes(graph).map(({ opType, reason }) => [opType, reason])).toEqual([
      ["Tanh", "an operator that Fettle does not know"],
      ["custom.Own", "an operator that Fettle does not know"],
      ["Conv", 'input "o" of unknown shape'],
    ]);
    expect(() => requireComputable(graph, "m.onnx")).toThrow(
      'onnx: every node of m.onnx must be one that Fettle can compute, got Tanh "Tanh:t" and 2 more: an operator that Fettle does not know — `fettle inspect` lists them all',
    );
  });
});

describe("fuzzing", () => {
  const seeds = readdirSync(goldens).map((name) => readFileSync(join(goldens, name)));
  /** Anything but a clear error is a failure of ours. */
  const survives = async (bytes: Uint8Array) => {
    try {
      await importOnnx(bytes, "m.onnx");
    } catch (error) {
      expect(error).toBeInstanceOf(AppError);
      expect((error as AppError).code).not.toBe("INTERNAL");
      expect((error as Error).message).toMatch(/^(onnx|graph): [^\n]+$/);
    }
  };
  const file = fc.constantFrom(...seeds);

  test("flipped bytes", async () => {
    const flips = fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(file, flips, async (seed, changes) => {
        const bytes = Uint8Array.from(seed);
        for (const [at, value] of changes) bytes[Math.floor(at * bytes.length)] = value;
        await survives(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test("truncation, random bytes", async () => {
    await fc.assert(
      fc.asyncProperty(file, fc.double({ min: 0, max: 1, noNaN: true }), (seed, share) =>
        survives(seed.subarray(0, Math.floor(share * seed.length))),
      ),
      { numRuns: 100 },
    );
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), survives), { numRuns: 300 });
  });
});

describe("attributes that no window can have", () => {
  const attribute = (name: string, values: number[]) => ({ name, ints: values });
  test.each([
    [[attribute("strides", [0, 0])], /strides \[0,0\]/],
    [[attribute("strides", [1])], /strides \[1\]/],
    [[attribute("dilations", [1, -1])], /dilations \[1,-1\]/],
    [[{ name: "group", i: -2 }], /-2 groups of 4 channels for an input of 4/],
    [[{ name: "group", i: 2 }], /2 groups of 4 channels for an input of 4/],
  ])("%j are not counted as if they could", async (attributes, reason) => {
    const { graph } = await importOnnx(onnxFile({ nodes: [{ ...conv, attributes }], floats: weight }), "m.onnx");
    expect(opaqueNodes(graph)[0]!.reason).toMatch(reason);
    expect(inspectGraph(graph).macs).toBe(0);
  });
});

test("external data must be a file in the model's folder", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fettle-external-"));
  mkdirSync(join(dir, "model", "folder"), { recursive: true });
  writeFileSync(join(dir, "secret.bin"), new Uint8Array(576));
  symlinkSync(join(dir, "secret.bin"), join(dir, "model", "link.bin"));
  const file = (location: string) =>
    changed(onnxFile({ nodes: [conv], floats: weight }), (model) => {
      const { initializer } = (model as unknown as { graph: { initializer: Record<string, unknown>[] } }).graph;
      Object.assign(initializer[0]!, { rawData: undefined, dataLocation: 1, externalData: [{ key: "location", value: location }] });
    });
  const path = join(dir, "model", "m.onnx");
  await expect(importOnnx(file("folder"), path)).rejects.toThrow(/external data of "w" must be readable, got folder is not a file/);
  await expect(importOnnx(file("link.bin"), path)).rejects.toThrow(/got link\.bin leads out of the model's folder/);
});
