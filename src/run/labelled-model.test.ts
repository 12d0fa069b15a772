import { expect, test } from "vitest";
import { randomSet } from "../data/fixtures.ts";
import type { DataSplits } from "../data/types.ts";
import { givenNormalisation, normalisationFor, unfitting } from "./labelled-model.ts";

const set = randomSet([0, 1]);
const own = { mean: [0.51234, 0.4, 0.3], std: [0.2, 0.21, 0.22] };
const data: DataSplits = { name: "random", train: set, validation: set, test: set, normalisation: own };
const card = { mean: [0.1, 0.1, 0.1], std: [1, 1, 1] };
const given = { mean: [0, 0, 0], std: [1, 1, 1] };

function chosen(known: typeof card | null, said: typeof card | null) {
  const notes: string[] = [];
  return { normalisation: normalisationFor("prune", "m.onnx", known, data, { given: said, onNote: (text) => notes.push(text) }), notes };
}

test("what is given goes before the card, the card before the images; only the last is told", () => {
  expect(chosen(card, given)).toEqual({ normalisation: given, notes: [] });
  expect(chosen(card, null)).toEqual({ normalisation: card, notes: [] });
  expect(chosen(null, null)).toEqual({
    normalisation: own,
    notes: [
      "m.onnx: --mean and --std were not given; pixels are normalised by the images' own statistics (mean 0.5123,0.4,0.3, std 0.2,0.21,0.22) — give what the model was trained with",
    ],
  });
});

test("numbers that cannot normalise these images are refused", () => {
  expect(() => chosen(null, { mean: [0.5], std: [1] })).toThrow(
    "prune: --mean and --std must have one number for each of the 3 channels of the images, got 1",
  );
  expect(() => givenNormalisation("prune", { mean: [0, 0] })).toThrow(/must be given together for the same channels, got 2 and 0$/);
  expect(() => givenNormalisation("prune", { mean: [0, 0], std: [1, 0] })).toThrow("--std must be above 0 for every channel, got 0");
});

test.each([
  ["1x28x28", [3, 28, 28], /^images must be 1x28x28 as m\.onnx reads them, got 3x28x28 — images of folders have 3 channels/],
  ["3x28x28", [1, 28, 28], /— give them as a folder \(images:DIR\), where grey images get 3 channels$/],
  ["3x32x64", [3, 64, 64], /— a folder is read so where all its images have that size/],
  ["3x64x64", [3, 32, 32], /— give them as a folder \(images:DIR\) without --size/],
] as const)("images for %s are asked for in words that help", (wanted, got, message) => {
  expect(unfitting("m.onnx", wanted, got)).toMatch(message);
});
