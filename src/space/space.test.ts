import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inspectGraph } from "../graph/counts.ts";
import { paramSpecs } from "../graph/params.ts";
import { validate } from "../graph/validate.ts";
import { createRng } from "../util/rng.ts";
import { blocksOf, parseArchitecture, printArchitecture, sampleArchitecture, sizeOfSpace, summarise } from "./architecture.ts";
import { mobileNetSpace, parseSpace, proxylessImagenet, type SpaceDescription } from "./description.ts";
import { architectureGraph, blockGraph, createSupernet } from "./graphs.ts";

const small = mobileNetSpace({ input: [3, 32, 32], classes: 10 });
const spaces: SpaceDescription[] = [
  small,
  mobileNetSpace({ input: [1, 28, 28], classes: 10, width: 0.35 }),
  mobileNetSpace({ input: [3, 96, 96], classes: 5, width: 1 }),
  proxylessImagenet,
];

test("the paper's space has 21 blocks and 6⁶·7¹⁵ networks", () => {
  expect(blocksOf(proxylessImagenet)).toHaveLength(21);
  expect(sizeOfSpace(proxylessImagenet)).toBe(6n ** 6n * 7n ** 15n);
});

describe.each(spaces.map((space) => [space.name, space] as const))("%s", (_, space) => {
  const any = fc.integer({ min: 0, max: 2 ** 31 - 1 }).map((seed) => sampleArchitecture(space, createRng(seed)));

  test("every architecture is a valid network that costs what its parts cost, with weights of the supernet", () => {
    const supernet = createSupernet(space);
    fc.assert(
      fc.property(any, (architecture) => {
        const graph = architectureGraph(space, architecture);
        validate(graph);
        const parts = [
          supernet.stem,
          ...architecture.map((choice, b) => blockGraph(space, supernet.blocks[b]!, supernet.blocks[b]!.choices[choice]!)),
          supernet.head,
        ];
        expect(parts.reduce((sum, part) => sum + (part ? inspectGraph(part).macs : 0), 0)).toBe(inspectGraph(graph).macs);
        for (const [name, spec] of paramSpecs(graph)) expect(supernet.specs.get(name)?.shape).toEqual(spec.shape);
      }),
      { numRuns: 15 },
    );
  });

  test("printing and parsing an architecture gives it back", () => {
    fc.assert(
      fc.property(any, (architecture) => {
        expect(parseArchitecture(space, printArchitecture(space, architecture))).toEqual(architecture);
      }),
    );
  });

  test("a description survives JSON", () => expect(parseSpace(JSON.parse(JSON.stringify(space)), "space")).toEqual(space));

  test("blocks of stride 1 and equal widths alone may be left out, and every map is at least 4×4", () => {
    for (const block of blocksOf(space)) {
      expect(block.choices.some((choice) => choice.kind === "zero")).toBe(block.stride === 1 && block.inChannels === block.outChannels);
      expect(Math.min(...block.outputShape.slice(1))).toBeGreaterThanOrEqual(4);
    }
  });
});

test("an architecture in one line", () => {
  const names = printArchitecture(
    small,
    blocksOf(small).map(({ choices }) => choices.length - 1),
  );
  expect(names[1]).toBe("Zero");
  expect(summarise(small, parseArchitecture(small, names))).toBe("k7e6 - | k7e6 - - | k7e6 - - | k7e6 - - | k7e6 -");
});

test("what a block does not offer is refused by name", () => {
  const names = printArchitecture(small, sampleArchitecture(small, createRng(1)));
  expect(() => parseArchitecture(small, ["Zero", ...names.slice(1)])).toThrow(
    "architecture: stage1.block1 must be one of 3x3_MBConv3, 3x3_MBConv6, 5x5_MBConv3",
  );
  expect(() => parseArchitecture(small, names.slice(1))).toThrow("has 13 blocks, got 12");
});

test.each([
  [{ ...small, width: 1 }, /^space: the description is not valid: /],
  [{ ...small, classes: 1 }, /^space: classes is not valid: /],
  [{ ...small, stem: { ...small.stem, kernel: 2 } }, /^space: stem\.kernel is not valid: must be odd$/],
  [{ ...small, stages: [] }, /^space: stages is not valid: /],
])("a wrong description names its field", (value, message) => expect(() => parseSpace(value, "space")).toThrow(message));
