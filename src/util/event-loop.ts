/** @file Long computations on the main thread: letting others have a turn. */

/** Lets signals, timers and input that wait be heard. */
export const turnOfOthers = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
