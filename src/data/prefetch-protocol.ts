/** @file What the prefetcher and its worker say to each other. */
import type { ErrorCode } from "../errors.ts";
import type { BatchBuffers, BatchOptions } from "./batches.ts";
import type { ImageSet } from "./types.ts";

/** Words of the shared control block. */
export const CONTROL = {
  /** Counts every change that the worker might be asleep for. */
  signal: 0,
  /** Number of the epoch run that is wanted; the worker drops any other. */
  run: 1,
  /** Batches of this run whose memory the consumer has given back. */
  released: 2,
} as const;
export const CONTROL_WORDS = 3;

/** Everything the worker gets at its start; pixels, slots and control are shared memory, the rest is copied. */
export interface WorkerSetup {
  readonly set: ImageSet;
  readonly options: Omit<BatchOptions, "rng" | "epoch">;
  readonly seed: number;
  readonly slots: readonly BatchBuffers[];
  readonly control: Int32Array;
}

export interface EpochRequest {
  readonly run: number;
  readonly epoch: number;
}

/** Batch b of a run is in slot b mod the number of slots. */
export type WorkerMessage =
  | { readonly kind: "batch"; readonly run: number; readonly size: number }
  | { readonly kind: "end"; readonly run: number }
  | { readonly kind: "error"; readonly run: number; readonly code: ErrorCode; readonly message: string };
