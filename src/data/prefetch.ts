/** @file Batches assembled by a worker thread ahead of time, so that a consumer that blocks its own thread never waits for them. */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { AppError } from "../errors.ts";
import { allocateBatch, type BatchOptions, requireBatches, viewBatch } from "./batches.ts";
import { CONTROL, CONTROL_WORDS, type EpochRequest, type WorkerMessage, type WorkerSetup } from "./prefetch-protocol.ts";
import type { Batch, ImageSet } from "./types.ts";

export interface PrefetchOptions extends Omit<BatchOptions, "rng" | "epoch"> {
  /** The batches are those of `batches` with rng: createRng(seed). */
  readonly seed: number;
  /** Batches held in memory at once, ≥ 2 (default 4). */
  readonly slots?: number;
}

/** A worker thread for the length of a training. It does not keep the process alive, except while a batch is awaited. */
export interface Prefetcher extends AsyncDisposable {
  /**
   * The batches of an epoch. One epoch at a time: starting another, or leaving the loop early, drops what is under way.
   *
   * @throws AppError, from the iteration: whatever the worker failed with
   */
  readonly epoch: (epoch: number) => AsyncIterable<Batch>;
  /** Ends the thread; idempotent. */
  readonly close: () => Promise<void>;
}

/**
 * The worker's module has this module's extension: both are sources or both are built. The process's own Node options are not passed
 * on, since some (--input-type) are not allowed for a file.
 */
function startWorker(setup: WorkerSetup): Worker {
  const worker = new Worker(new URL(`./prefetch-worker${extname(import.meta.url)}`, import.meta.url), { workerData: setup, execArgv: [] });
  worker.unref();
  return worker;
}

/** The worker's messages about one run, in order, for its one reader. */
interface Mailbox {
  readonly run: number;
  readonly put: (message: WorkerMessage) => void;
  /** Makes this and every later `take` throw; the first failure counts. */
  readonly fail: (error: AppError) => void;
  readonly take: () => Promise<WorkerMessage>;
}

/** @param onWait told true when the reader starts to wait and false when it no longer does */
function createMailbox(run: number, onWait: (isWaiting: boolean) => void): Mailbox {
  const messages: WorkerMessage[] = [];
  let failure: AppError | null = null;
  let wake = () => {};
  return {
    run,
    put: (message) => {
      messages.push(message);
      wake();
    },
    fail: (error) => {
      failure ??= error;
      wake();
    },
    take: async () => {
      while (messages.length === 0 && failure === null) {
        onWait(true);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        onWait(false);
      }
      if (failure !== null) throw failure;
      return messages.shift()!;
    },
  };
}

/**
 * Starts a thread that assembles the batches of `set`. Paid once; each epoch then costs one message.
 *
 * @throws AppError CONFIG or DATA, as `batches`
 */
export function createPrefetcher(set: ImageSet, options: PrefetchOptions): Prefetcher {
  const { seed, slots: slotCount = 4, ...batchOptions } = options;
  requireBatches(set, batchOptions);
  if (!Number.isInteger(slotCount) || slotCount < 2) {
    throw new AppError("CONFIG", `prefetcher: slots must be an integer of at least 2, got ${slotCount}`);
  }
  const { batchSize } = options;
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  const slots = Array.from({ length: slotCount }, () => allocateBatch(set, batchSize));
  const worker = startWorker({ set, options: batchOptions, seed, slots, control });
  let current: Mailbox | null = null;
  /** Why no further epoch can run. */
  let ended: AppError | null = null;

  const end = (error: AppError) => {
    ended ??= error;
    current?.fail(ended);
  };
  worker.on("message", (message: WorkerMessage) => {
    if (message.run === current?.run) current.put(message);
  });
  worker.on("error", (cause) => end(new AppError("INTERNAL", `internal: the prefetch worker failed: ${String(cause)}`, { cause })));
  worker.on("exit", (code) => end(new AppError("INTERNAL", `internal: the prefetch worker ended with code ${code}`)));

  const wakeWorker = () => {
    Atomics.add(control, CONTROL.signal, 1);
    Atomics.notify(control, CONTROL.signal);
  };
  /** Makes another run the wanted one; the worker drops the old one before its next batch. */
  const nextRun = (): number => {
    Atomics.store(control, CONTROL.released, 0);
    const run = Atomics.add(control, CONTROL.run, 1) + 1;
    wakeWorker();
    return run;
  };

  async function* iterate(epoch: number): AsyncGenerator<Batch> {
    if (ended !== null) throw ended;
    current?.fail(new AppError("INTERNAL", "internal: a prefetcher runs one epoch at a time, got a second one"));
    const mailbox = createMailbox(nextRun(), (isWaiting) => (isWaiting ? worker.ref() : worker.unref()));
    current = mailbox;
    worker.postMessage({ run: mailbox.run, epoch } satisfies EpochRequest);
    try {
      for (let b = 0; ; b++) {
        const message = await mailbox.take();
        if (message.kind === "error") throw new AppError(message.code, message.message);
        if (message.kind === "end") return;
        yield viewBatch(slots[b % slots.length]!, batchSize, message.size);
        if (current === mailbox) {
          Atomics.add(control, CONTROL.released, 1);
          wakeWorker();
        }
      }
    } finally {
      if (current === mailbox) {
        current = null;
        nextRun();
      }
    }
  }

  const close = async () => {
    end(new AppError("INTERNAL", "internal: the prefetcher is closed"));
    nextRun();
    await worker.terminate();
  };
  return { epoch: iterate, close, [Symbol.asyncDispose]: close };
}
