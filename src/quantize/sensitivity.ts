/** @file How much every layer minds few bits: the loss with one side of one layer alone at so many. */

import { FLOAT_BITS, type Precision } from "../hardware/precision.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import type { PrecisionLimits } from "./budget.ts";

export type Side = keyof Precision;
/** How much worse the network is when one side of one layer alone has these bits; the unit does not matter. */
export type Sensitivity = (layer: number, side: Side, bits: number) => number;

export interface SensitivityOptions extends Pick<PrecisionLimits, "choices" | "pins"> {
  /** Loss of the network at these bits, nats. */
  readonly lossOf: (bits: readonly Precision[]) => number;
  readonly onProgress?: (layersDone: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** A rise by less, nats, is nothing: with more bits it is a quarter a bit, as the squared error of rounding is. */
const NOTHING = 5e-4;
const PER_BIT = 4;

/** Measures each side of every layer that is not pinned, from the fewest bits on until the loss no longer rises; null when interrupted. */
export async function measureSensitivities({ choices, pins, lossOf, onProgress, signal }: SensitivityOptions): Promise<Sensitivity | null> {
  const float: readonly Precision[] = pins.map(() => ({ weightBits: FLOAT_BITS, activationBits: FLOAT_BITS }));
  const base = lossOf(float);
  const known = new Map<string, number>();
  const keyOf = (layer: number, side: Side, bits: number) => `${layer} ${side} ${bits}`;
  for (const [layer, pin] of pins.entries()) {
    for (const side of ["weightBits", "activationBits"] as const) {
      let last: { readonly bits: number; readonly rise: number } | null = null;
      for (const bits of pin ? [] : choices[side].filter((b) => b !== FLOAT_BITS)) {
        if (last && Math.abs(last.rise) < NOTHING) {
          known.set(keyOf(layer, side, bits), Math.max(0, last.rise) * PER_BIT ** (last.bits - bits));
          continue;
        }
        // a signal is heard between two turns of the event loop only
        await turnOfOthers();
        if (signal?.aborted) return null;
        last = { bits, rise: lossOf(float.map((one, i) => (i === layer ? { ...one, [side]: bits } : one))) - base };
        known.set(keyOf(layer, side, bits), last.rise);
      }
    }
    onProgress?.(layer + 1);
  }
  return (layer, side, bits) => known.get(keyOf(layer, side, bits))!;
}
