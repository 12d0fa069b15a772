/** @file Batches assembled ahead of time by a worker thread, so that the engine, which blocks its own thread, never waits. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { batchIndices } from "./batches.ts";
import type { Batch, BatchOptions, ImageSet } from "./types.ts";

/** Batches in flight: being trained on, ready, being assembled. */
const RING = 4;

export interface WorkerSetup {
  readonly set: ImageSet;
  readonly options: BatchOptions;
  readonly ring: readonly Float32Array<SharedArrayBuffer>[];
}
export interface WorkerRequest {
  readonly slot: number;
  readonly indices: Int32Array;
  readonly epoch: number;
}

export interface Prefetcher extends AsyncDisposable {
  /** The same batches as `batches` gives, byte for byte. One epoch at a time. */
  epoch(epoch: number): AsyncIterable<Batch>;
  close(): Promise<void>;
}

/** Starts the worker once for a whole training. @throws AppError DATA when there are fewer images than a whole batch */
export function createPrefetcher(set: ImageSet, options: BatchOptions): Prefetcher {
  batchIndices(set, options, 0);
  const floats = options.batchSize * set.shape[0] * set.shape[1] * set.shape[2];
  const ring = Array.from({ length: RING }, () => new Float32Array(new SharedArrayBuffer(4 * floats)));
  const workerData: WorkerSetup = { set, options, ring };
  const worker = new Worker(new URL("./prefetch-worker.ts", import.meta.url), { workerData });
  worker.unref();
  let failure: Error | null = null;
  worker.on("error", (error) => {
    failure = error as Error;
    worker.emit("message", -1);
  });
  const finished = new Set<number>();
  worker.on("message", (slot: number) => finished.add(slot));

  async function* epochBatches(epoch: number): AsyncGenerator<Batch> {
    const all = batchIndices(set, options, epoch);
    const perImage = floats / options.batchSize;
    const request = (i: number) => worker.postMessage({ slot: i % RING, indices: all[i]!, epoch } satisfies WorkerRequest);
    // Requests left over from an epoch that was not read to its end would answer for this one's.
    await drained();
    for (let i = 0; i < Math.min(RING - 1, all.length); i++) ask(i);
    for (const [i, indices] of all.entries()) {
      const slot = i % RING;
      while (!finished.has(slot)) await waitForMessage();
      finished.delete(slot);
      pending--;
      if (i + RING - 1 < all.length) ask(i + RING - 1);
      const x = ring[slot]!.subarray(0, indices.length * perImage);
      yield { x, labels: Int32Array.from(indices, (n) => set.labels[n]!), indices, size: indices.length };
    }
    function ask(i: number) {
      pending++;
      request(i);
    }
  }
  let pending = 0;
  const waitForMessage = async () => {
    if (failure) throw failure;
    worker.ref();
    await once(worker, "message");
    worker.unref();
    if (failure) throw failure;
  };
  const drained = async () => {
    while (finished.size < pending) await waitForMessage();
    finished.clear();
    pending = 0;
  };
  const close = async () => {
    await worker.terminate();
  };
  return { epoch: epochBatches, close, [Symbol.asyncDispose]: close };
}
