/** @file A supernet whose training takes longer than planned: later stages get fewer epochs, so that what comes after them has its time. */
import type { Stage } from "../joint/stages.ts";
import type { Clock } from "../util/clock.ts";
import type { Deadline } from "./deadline.ts";
import { type Images, type Pace, stagesTakeMs } from "./effort.ts";

export interface SupernetPaceOptions {
  readonly deadline: Pick<Deadline, "leftMs">;
  readonly clock: Clock;
  readonly pace: Pace;
  readonly images: Images;
  /** What is to be left when the supernet is trained. */
  readonly reservedMs: number;
}

/** Epochs of the first of the stages that are left: as planned, or as many as the time allows at the pace of those before, one at least. */
export function createSupernetPace({ deadline, clock, pace, images, reservedMs }: SupernetPaceOptions): (rest: readonly Stage[]) => number {
  let expectedMs = 0;
  let startedMs: number | null = null;
  return (rest) => {
    const [next] = rest;
    startedMs ??= clock.nowMs();
    const slowdown = expectedMs > 0 ? Math.max(1, (clock.nowMs() - startedMs) / expectedMs) : 1;
    const left = deadline.leftMs();
    const needed = slowdown * stagesTakeMs(rest, pace, images);
    const share = left === null ? 1 : Math.min(1, Math.max(0, left - reservedMs) / needed);
    const epochs = Math.max(1, Math.floor(share * next!.epochs + 1e-9));
    expectedMs += stagesTakeMs([{ ...next!, epochs }], pace, images);
    return epochs;
  };
}
