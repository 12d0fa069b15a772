import { expect, test } from "vitest";
import { numbers, onnxFile } from "../onnx/import/fixtures.ts";
import { createSession } from "../onnx/session.ts";
import { batchOf, imageShapeOf, runImages } from "./feed.ts";

const transpose = { op: "Transpose", in: ["x"], out: "t", attributes: [{ name: "perm", ints: [0, 3, 1, 2] }] };
const conv = { op: "Conv", in: ["t", "w"], out: "y" };
const floats = { w: { dims: [2, 3, 1, 1], data: numbers(6) } };
const shape = [3, 4, 5] as const;
const images = numbers(2 * 60);

test("images go in as the file has its axes, and come back as the same numbers", async () => {
  const last = await createSession(onnxFile({ input: ["N", 4, 5, 3], nodes: [transpose, conv], floats }));
  const first = await createSession(onnxFile({ input: ["N", 3, 4, 5], nodes: [{ ...conv, in: ["x", "w"] }], floats }));
  expect(imageShapeOf(last, 3)).toEqual([3, 4, 5]);
  expect(imageShapeOf(first, 3)).toEqual([3, 4, 5]);
  expect(await runImages(last, images, 2, shape)).toEqual(await runImages(first, images, 2, shape));
  for (const session of [last, first]) await session.close();
});

test("a file that insists on a batch gets it, filled up", async () => {
  const fixed = await createSession(onnxFile({ input: [3, 3, 4, 5], nodes: [{ ...conv, in: ["x", "w"] }], floats }));
  const free = await createSession(onnxFile({ input: ["N", 3, 4, 5], nodes: [{ ...conv, in: ["x", "w"] }], floats }));
  expect([batchOf(fixed, 250), batchOf(free, 250)]).toEqual([3, 250]);
  expect([...(await runImages(fixed, images, 2, shape))]).toEqual([...(await runImages(free, images, 2, shape))]);
  for (const session of [fixed, free]) await session.close();
});
