import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { easyData } from "../../test/support.ts";
import { calibrationBatches } from "../data/calibration.ts";
import { exportWeights, type ParameterStore } from "../nn/parameters.ts";
import { largestSubnet, smallestSubnet } from "../space/subnet.ts";
import { createRng } from "../util/rng.ts";
import { subnetAccuracy } from "./extract.ts";
import { tinySpace as space } from "./fixtures.ts";
import { planStages, sampleSubnet } from "./stages.ts";
import { loadSupernet, type SupernetTraining, trainSupernet } from "./train-supernet.ts";

const data = easyData();
function training(more: Partial<SupernetTraining> = {}): SupernetTraining {
  const dir = mkdtempSync(join(tmpdir(), "fettle-supernet-"));
  return {
    space,
    data,
    stages: planStages(8, 0.1),
    batchSize: 32,
    weightDecay: 4e-5,
    augmentation: null,
    seed: 0,
    checkpointPath: join(dir, "supernet.safetensors"),
    teacherPath: join(dir, "teacher.safetensors"),
    ...more,
  };
}
const numbers = (shared: ParameterStore) => [...exportWeights(shared).values()].flatMap(({ data: values }) => [...values]);

test("after its stages the largest, the smallest and random sub-nets work, without training of their own", async () => {
  const options = training();
  const { shared, isCancelled } = await trainSupernet(options);
  using owned = shared;
  expect(isCancelled).toBe(false);
  const images = calibrationBatches(data, { seed: 0, count: 2, batchSize: 32 });
  const rng = createRng(5);
  const subnets = [largestSubnet(space), smallestSubnet(space), ...Array.from({ length: 4 }, () => sampleSubnet(space, "width", rng))];
  for (const subnet of subnets) expect(subnetAccuracy(space, owned, subnet, { data, images, set: "test" })).toBeGreaterThan(0.9);
  using loaded = loadSupernet(space, options.checkpointPath);
  expect(numbers(loaded)).toEqual(numbers(owned));
});

test.each(["full", "depth", "width"])("stopped in stage %s and resumed, it ends where an uninterrupted training ends", async (stopAt) => {
  const stages = planStages(4, 0.1).map((stage) => ({ ...stage, epochs: 2 }));
  const whole = await trainSupernet(training({ stages }));
  using expected = whole.shared;
  const controller = new AbortController();
  const options = training({ stages });
  const stopped = await trainSupernet({
    ...options,
    signal: controller.signal,
    onStep: (stage, { epoch, step }) => stage === stopAt && epoch === 1 && step % 4 === 1 && controller.abort(),
  });
  stopped.shared[Symbol.dispose]();
  expect(stopped.isCancelled).toBe(true);
  const resumed = await trainSupernet({ ...options, resume: true });
  using again = resumed.shared;
  expect(resumed.isCancelled).toBe(false);
  expect(numbers(again)).toEqual(numbers(expected));
});
