/** @file What `fettle joint search` is asked. */
import type { JointBudget, JointDevice } from "../joint/limits.ts";
import type { FineTuneOptions } from "./compression-steps.ts";

/** Sub-nets that are judged before one is chosen. */
export const JUDGED = 8;

/**
 * How sub-nets are looked for: jointly, by as many random draws, with the same bits everywhere, or the architecture alone, which costs
 * what it does at 8 bits and is exported as floats.
 */
export type JointMethod = "joint" | "random" | "architecture" | { readonly fixedBits: number };

export interface JointSearchRunOptions extends FineTuneOptions {
  /** Folder of the supernet. */
  readonly supernetDir: string;
  readonly dir: string;
  readonly config: unknown;
  /** null where no limit depends on a device. */
  readonly device: JointDevice | null;
  readonly budgets: readonly JointBudget[];
  readonly method?: JointMethod;
  readonly population?: number;
  readonly generations?: number;
  /** Of the best as predicted, how many are judged on validation images before one is chosen (default JUDGED). */
  readonly judged?: number;
  /** The limits were found within reach before: where a latency that is measured anew says otherwise, the fastest sub-nets are searched. */
  readonly isReachable?: boolean;
  readonly threads: number;
  readonly onStart?: () => void;
}
