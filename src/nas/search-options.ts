/** @file What a search for an architecture is told, and what it tells. */
import type { Augmentation, DataSplits } from "../data/types.ts";
import type { Architecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import type { StepEvent } from "../train/loop.ts";
import type { Clock } from "../util/clock.ts";
import type { CostTable } from "./costs.ts";
import type { CostLossOptions } from "./losses.ts";

/** How architecture parameters learn: from two sampled paths, from all candidates, or by policy gradient. */
export type SearchMode = "two" | "full" | "reinforce";

export interface SearchOptions {
  readonly space: SpaceDescription;
  readonly data: DataSplits;
  readonly costs: CostTable;
  /** Reference cost T, in the table's unit. */
  readonly target: number;
  /** Whether the table is in ms (else MACs). */
  readonly isLatency: boolean;
  readonly mode: SearchMode;
  readonly loss: CostLossOptions;
  /** Epochs that train weights alone. */
  readonly warmupEpochs: number;
  readonly searchEpochs: number;
  readonly batchSize: number;
  readonly lr: number;
  readonly architectureLr: number;
  /** Weight steps for each architecture step (default 5). */
  readonly weightStepsPerArchitectureStep?: number;
  /** Networks per policy-gradient update (default 8). */
  readonly networksPerUpdate?: number;
  /** Networks drawn from the learnt probabilities and compared on validation images (default 64; 0: none). */
  readonly candidates?: number;
  readonly augmentation: Augmentation | null;
  readonly seed: number;
  /** Where to keep the state after every epoch. */
  readonly checkpointPath?: string;
  /** Go on from there, if there is one. */
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  readonly onStep?: (event: StepEvent) => void;
  readonly onEpoch?: (report: SearchReport) => void;
  /** While the networks drawn are compared. */
  readonly onCandidate?: (done: number, total: number) => void;
  readonly clock?: Clock;
}

export interface SearchReport {
  readonly epoch: number;
  readonly epochs: number;
  readonly phase: "warm-up" | "search";
  readonly trainLoss: number;
  readonly trainAccuracy: number;
  /** nats per block; ln(candidates) when undecided. */
  readonly entropy: number;
  readonly expectedCost: number;
  /** Most probable choices at this moment. */
  readonly architecture: Architecture;
  readonly seconds: number;
}
