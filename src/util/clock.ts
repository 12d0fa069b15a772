/** @file Time as an argument. */

export interface Clock {
  /** Milliseconds since some fixed moment, never going back. */
  nowMs(): number;
  now(): Date;
}

export const systemClock: Clock = { nowMs: () => performance.now(), now: () => new Date() };
