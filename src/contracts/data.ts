/** @file What must hold of images of one's own. */
import { createHash } from "node:crypto";
import { imageSize } from "../data/image-set.ts";
import type { DataSplits, ImageSet } from "../data/types.ts";
import { type ContractCheck, must } from "./contract.ts";

const SETS = ["train", "validation", "test"] as const;

/** Hash of every image. */
function hashes({ images, count, shape }: ImageSet): Set<string> {
  const size = imageSize(shape);
  return new Set(
    Array.from({ length: count }, (_, i) =>
      createHash("sha256")
        .update(images.subarray(i * size, (i + 1) * size))
        .digest("base64"),
    ),
  );
}

/** @param load makes or gives the images; called once a check */
export function dataContract(load: () => DataSplits | Promise<DataSplits>): ContractCheck[] {
  const checks: readonly [string, (data: DataSplits) => Promise<void>][] = [
    [
      "no part is empty, and all have the same shape and classes",
      async (data) => {
        const { shape, classes } = data.train;
        for (const name of SETS) {
          must(data[name].count > 0, () => `${name} is empty`);
          must(data[name].shape.join() === shape.join(), () => `${name} is ${data[name].shape.join("x")}, train ${shape.join("x")}`);
          must(data[name].classes.join("\n") === classes.join("\n"), () => `${name} has the classes ${data[name].classes.join(", ")}`);
        }
        must(classes.length >= 2, () => `there are ${classes.length} classes`);
        must(new Set(classes).size === classes.length, () => "two classes have the same name");
      },
    ],
    [
      "every part has its pixels, in shared memory, and a label for each image",
      async (data) => {
        for (const name of SETS) {
          const { images, labels, count, shape, classes } = data[name];
          must(images.length === count * imageSize(shape), () => `${name} has ${images.length} bytes for ${count} images`);
          must(images.buffer instanceof SharedArrayBuffer, () => `${name} is not in shared memory`);
          must(labels.length === count, () => `${name} has ${labels.length} labels for ${count} images`);
          const wrong = labels.find((label) => label < 0 || label >= classes.length);
          must(wrong === undefined, () => `${name} has the label ${wrong} of ${classes.length} classes`);
        }
      },
    ],
    [
      "every class is among the training images",
      async ({ train }) => {
        const seen = new Set(train.labels);
        const missing = train.classes.filter((_, label) => !seen.has(label));
        must(missing.length === 0, () => `none is of ${missing.join(", ")}`);
      },
    ],
    [
      "there is a mean and a positive deviation for each channel",
      async ({ train, normalisation: { mean, std } }) => {
        const [channels] = train.shape;
        must(mean.length === channels && std.length === channels, () => `${mean.length} and ${std.length} for ${channels} channels`);
        must([...mean, ...std].every(Number.isFinite), () => "some are no numbers");
        must(
          std.every((s) => s > 0),
          () => `the deviations are ${std.join(", ")}`,
        );
      },
    ],
    [
      "no test image is trained on",
      async ({ train, validation, test }) => {
        const tested = hashes(test);
        const common = [...hashes(train), ...hashes(validation)].filter((hash) => tested.has(hash)).length;
        must(common === 0, () => `${common} images are in both`);
      },
    ],
  ];
  return checks.map(([name, check]) => ({ name, check: async () => check(await load()) }));
}
