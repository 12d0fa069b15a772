/** @file The prefetcher's thread: writes batches into free slots of the ring and sleeps while there is none. */
import { parentPort, workerData } from "node:worker_threads";
import { AppError, invariant } from "../errors.ts";
import { createRng } from "../util/rng.ts";
import { createEpochWriter } from "./batches.ts";
import { CONTROL, type EpochRequest, type WorkerMessage, type WorkerSetup } from "./prefetch-protocol.ts";

const { set, options, seed, slots, control } = workerData as WorkerSetup;
const port = parentPort;
invariant(port !== null, "the prefetch worker must run in a thread");

const post = (message: WorkerMessage): void => port.postMessage(message);

/** Waits until slot b mod slots is free; false when the run is no longer wanted. */
function waitForSlot(run: number, b: number): boolean {
  for (;;) {
    // Read before the conditions: a change after this makes the wait below return at once.
    const signal = Atomics.load(control, CONTROL.signal);
    if (Atomics.load(control, CONTROL.run) !== run) return false;
    if (b - Atomics.load(control, CONTROL.released) < slots.length) return true;
    Atomics.wait(control, CONTROL.signal, signal);
  }
}

function writeEpoch({ run, epoch }: EpochRequest): void {
  const writer = createEpochWriter(set, { ...options, rng: createRng(seed), epoch });
  for (let b = 0; b < writer.count; b++) {
    if (!waitForSlot(run, b)) return;
    post({ kind: "batch", run, size: writer.write(b, slots[b % slots.length]!) });
  }
  post({ kind: "end", run });
}

port.on("message", (request: EpochRequest) => {
  try {
    writeEpoch(request);
  } catch (error) {
    const code = error instanceof AppError ? error.code : "INTERNAL";
    post({ kind: "error", run: request.run, code, message: error instanceof Error ? error.message : String(error) });
  }
});
