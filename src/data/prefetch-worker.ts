/** @file The thread that assembles batches for `prefetch.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { fillBatch } from "./batches.ts";
import type { WorkerRequest, WorkerSetup } from "./prefetch.ts";

const { set, options, ring } = workerData as WorkerSetup;
const perImage = set.shape[0] * set.shape[1] * set.shape[2];

parentPort?.on("message", ({ slot, indices, epoch }: WorkerRequest) => {
  fillBatch(ring[slot]!.subarray(0, indices.length * perImage), set, indices, options, epoch);
  parentPort?.postMessage(slot);
});
