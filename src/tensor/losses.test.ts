import { expect, test } from "vitest";
import { random, zeros } from "../../test/reference/array.ts";
import { expectClose } from "../../test/reference/engine.ts";
import { crossEntropy as reference } from "../../test/reference/ops.ts";
import { createRng } from "../util/rng.ts";
import { crossEntropy, klDivergence, softTargets } from "./losses.ts";
import { createScope, fromArray, valuesOf } from "./tensor.ts";

const [N, K] = [5, 7];
const labels = Int32Array.of(0, 3, 6, 2, 2);
const oneHot = (smoothing: number) => {
  const t = zeros([N, K]);
  for (const [i, label] of labels.entries())
    for (let k = 0; k < K; k++) t.data[i * K + k] = (k === label ? 1 - smoothing : 0) + smoothing / K;
  return t;
};

test.each([0, 0.1])("cross-entropy with label smoothing %f and its gradient", (labelSmoothing) => {
  using _scope = createScope();
  const logits = random([N, K], createRng(1), { scale: 3 });
  const expected = reference(logits, oneHot(labelSmoothing));
  const actual = crossEntropy(fromArray([N, K], logits.data), labels, { labelSmoothing });
  expect(actual.loss).toBeCloseTo(expected.loss, 5);
  expectClose(valuesOf(actual.gradient!), expected.gradient.data, "gradient", 1e-6);
});

test("soft targets are mixed with the labels", () => {
  using _scope = createScope();
  const rng = createRng(2);
  const [student, teacher] = [random([N, K], rng), random([N, K], rng, { scale: 2 })];
  const probabilities = softTargets(fromArray([N, K], teacher.data), 2);
  const targets = oneHot(0);
  for (let i = 0; i < targets.data.length; i++) targets.data[i]! += 0.5 * probabilities[i]!;
  const expected = reference(student, targets);
  const actual = crossEntropy(fromArray([N, K], student.data), labels, { soft: { probabilities, ratio: 0.5 } });
  expect(actual.loss).toBeCloseTo(expected.loss, 5);
  expectClose(valuesOf(actual.gradient!), expected.gradient.data, "gradient", 1e-6);
});

test("the divergence from a reference is what its cross-entropy lies above its entropy, and 0 from itself", () => {
  using _scope = createScope();
  const rng = createRng(4);
  const [own, other] = [random([N, K], rng, { scale: 2 }), random([N, K], rng, { scale: 2 })];
  const logits = fromArray([N, K], own.data);
  const p = softTargets(fromArray([N, K], other.data));
  const entropy = -p.reduce((sum, v) => sum + v * Math.log(v), 0) / N;
  const targets = { shape: [N, K], data: Float64Array.from(p) };
  expect(klDivergence(logits, p)).toBeCloseTo(reference(own, targets).loss - entropy, 5);
  expect(klDivergence(logits, softTargets(logits))).toBeCloseTo(0, 6);
  expect(klDivergence(fromArray([1, 2], [0, 1e4]), Float32Array.of(1, 0))).toBeLessThan(100);
  expect(() => klDivergence(logits, p.subarray(1))).toThrow("one probability per logit of f32[5,7], got 34");
});

test("softened targets are rows of probabilities", () => {
  using _scope = createScope();
  const soft = softTargets(fromArray([1, 3], [2, 0, -2]), 2);
  const total = Math.exp(1) + 1 + Math.exp(-1);
  expectClose(soft, [Math.exp(1) / total, 1 / total, Math.exp(-1) / total], "softmax(z / 2)");
});

test("huge logits give a finite loss; hits are counted", () => {
  using _scope = createScope();
  const { loss, correct } = crossEntropy(fromArray([2, 2], [1e4, -1e4, -1e4, 1e4]), Int32Array.of(0, 0));
  expect(Number.isFinite(loss)).toBe(true);
  expect(correct).toBe(1);
});

test("says that there must be one label per row", () => {
  using _scope = createScope();
  expect(() => crossEntropy(fromArray([2, 2], [1, 2, 3, 4]), Int32Array.of(0))).toThrow(
    "crossEntropy: there must be one label per row of f32[2,2], got 1",
  );
});
