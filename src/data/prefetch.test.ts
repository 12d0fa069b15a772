import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { AppError } from "../errors.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createRng } from "../util/rng.ts";
import { batches } from "./batches.ts";
import { randomSet } from "./fixtures.ts";
import { createPrefetcher, type PrefetchOptions } from "./prefetch.ts";
import type { Batch } from "./types.ts";

const set = randomSet(Array.from({ length: 43 }, (_, i) => i % 3));
const OPTIONS: PrefetchOptions = {
  batchSize: 4,
  normalisation: { mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4] },
  augmentation: { crop: 2, flip: true, brightness: 0.2, contrast: 0.2, saturation: 0.2, cutout: 3 },
  seed: 7,
  shuffle: true,
  dropLast: false,
};

/** A copy that outlives the batch. */
const copyOf = ({ x, labels, indices, size }: Batch) => ({ x: [...x], labels: [...labels], indices: [...indices], size });

function synchronously(epoch: number) {
  const { seed, ...options } = OPTIONS;
  return Array.from(batches(set, { ...options, rng: createRng(seed), epoch }), copyOf);
}

async function collect(source: AsyncIterable<Batch>) {
  const all: ReturnType<typeof copyOf>[] = [];
  for await (const batch of source) all.push(copyOf(batch));
  return all;
}

test("several epochs equal the synchronous batches", async () => {
  await using prefetcher = createPrefetcher(set, OPTIONS);
  for (const epoch of [0, 1, 5]) expect(await collect(prefetcher.epoch(epoch))).toEqual(synchronously(epoch));
});

test("a ring of two slots and a consumer that takes its time get the same batches", async () => {
  await using prefetcher = createPrefetcher(set, { ...OPTIONS, slots: 2 });
  const all: ReturnType<typeof copyOf>[] = [];
  for await (const batch of prefetcher.epoch(0)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    all.push(copyOf(batch));
  }
  expect(all).toEqual(synchronously(0));
});

test("an epoch that was left early does not disturb the next", async () => {
  await using prefetcher = createPrefetcher(set, OPTIONS);
  for (const stop of [0, 1, 4, 9]) {
    let b = 0;
    for await (const _batch of prefetcher.epoch(0)) if (b++ === stop) break;
  }
  expect(await collect(prefetcher.epoch(2))).toEqual(synchronously(2));
});

test("batches are ready when a consumer that blocked its thread asks for them", async () => {
  await using prefetcher = createPrefetcher(set, OPTIONS);
  const iterator = prefetcher.epoch(0)[Symbol.asyncIterator]();
  const first = await iterator.next();
  expect(first.done).toBe(false);
  // Blocks this thread: the worker must fill the ring without its help.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  await turnOfOthers();
  // What is ready arrives in microtasks, before the event loop turns again.
  let turns = 0;
  setImmediate(() => turns++);
  for (let b = 1; b < 4; b++) expect((await iterator.next()).done).toBe(false);
  expect(turns).toBe(0);
});

test("an error in the worker reaches the consumer with its code, and the next epoch too", async () => {
  const labels = set.labels.slice();
  labels[5] = 9;
  await using prefetcher = createPrefetcher({ ...set, labels }, OPTIONS);
  for (const epoch of [0, 1]) {
    const failure = await collect(prefetcher.epoch(epoch)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(AppError);
    expect(failure).toMatchObject({ code: "DATA", message: "batches: the label of image 5 must be in 0…2, got 9" });
  }
});

test("a second epoch at a time ends the first with an error", async () => {
  await using prefetcher = createPrefetcher(set, OPTIONS);
  const first = prefetcher.epoch(0)[Symbol.asyncIterator]();
  await first.next();
  expect(await collect(prefetcher.epoch(1))).toEqual(synchronously(1));
  await expect(first.next()).rejects.toThrow("internal: a prefetcher runs one epoch at a time, got a second one");
});

test("close ends a waiting reader, is idempotent, and no epoch runs after it", async () => {
  const prefetcher = createPrefetcher(set, OPTIONS);
  const waiting = prefetcher.epoch(0)[Symbol.asyncIterator]().next();
  const outcome = expect(waiting).rejects.toThrow("internal: the prefetcher is closed");
  await prefetcher.close();
  await prefetcher.close();
  await outcome;
  await expect(collect(prefetcher.epoch(0))).rejects.toThrow("internal: the prefetcher is closed");
});

test("faults are found before the thread starts", () => {
  expect(() => createPrefetcher(set, { ...OPTIONS, batchSize: 50, dropLast: true })).toThrow(
    "batches: the set must hold at least one batch of 50 images, got 43 — use a smaller batch or more images",
  );
  expect(() => createPrefetcher(set, { ...OPTIONS, slots: 1 })).toThrow("prefetcher: slots must be an integer of at least 2, got 1");
});

test("neither an open prefetcher keeps the process alive, nor does a wait for a batch let it end", async () => {
  const [prefetch, fixtures] = ["./prefetch.ts", "./fixtures.ts"].map((path) => JSON.stringify(new URL(path, import.meta.url).href));
  const program = `
    import { createPrefetcher } from ${prefetch};
    import { randomSet } from ${fixtures};
    const options = { ...${JSON.stringify(OPTIONS)}, batchSize: 2 };
    const prefetcher = createPrefetcher(randomSet(Array.from({ length: 40 }, (_, i) => i % 2)), options);
    let seen = 0;
    for await (const batch of prefetcher.epoch(0)) if ((seen += batch.size) >= 20) break;
    const left = prefetcher.epoch(1)[Symbol.asyncIterator]();
    await left.next();
    process.stdout.write("seen " + seen);
  `;
  const directory = fileURLToPath(new URL(".", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: directory,
    timeout: 20_000,
  });
  expect(stdout).toBe("seen 20");
});
