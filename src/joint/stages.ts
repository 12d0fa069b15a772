/** @file Progressive shrinking: the stages in which a supernet learns to work at every size. Paper: Cai et al. 2020, arXiv:1908.09791. */
import type { ElasticSpace } from "../space/elastic.ts";
import { elasticBlocks, largestSubnet, type Subnet } from "../space/subnet.ts";
import type { Rng } from "../util/rng.ts";

/** In order: the largest network alone, then smaller kernels, fewer blocks and fewer channels as well. */
export const STAGES = ["full", "kernel", "depth", "width"] as const;
export type StageName = (typeof STAGES)[number];

export interface Stage {
  readonly name: StageName;
  readonly epochs: number;
  /** Highest learning rate. */
  readonly lr: number;
  /** Sub-nets whose gradients make one step. */
  readonly subnetsPerStep: number;
}

const SHARES: Record<StageName, number> = { full: 0.4, kernel: 0.15, depth: 0.2, width: 0.25 };
const SUBNETS: Record<StageName, number> = { full: 1, kernel: 1, depth: 2, width: 2 };
/** Learning rates relative to the full network's: later stages must not forget it. */
const LR_SHARES: Record<StageName, number> = { full: 1, kernel: 0.4, depth: 0.25, width: 0.25 };

/** Epochs split over the stages, at least one each. Deviation: fewer sub-nets a step than published, for fewer epochs. */
export function planStages(epochs: number, lr: number): Stage[] {
  return STAGES.map((name) => ({
    name,
    epochs: Math.max(1, Math.round(SHARES[name] * epochs)),
    lr: lr * LR_SHARES[name],
    subnetsPerStep: SUBNETS[name],
  }));
}

/** A sub-net of those that a stage trains, each equally likely. */
export function sampleSubnet(space: ElasticSpace, stage: StageName, rng: Rng): Subnet {
  const largest = largestSubnet(space);
  const reached = STAGES.indexOf(stage);
  const has = (name: StageName) => reached >= STAGES.indexOf(name);
  const any = <T>(list: readonly T[]): T => list[rng.int(list.length)]!;
  return {
    depths: has("depth") ? space.stages.map(({ blocks, leastBlocks }) => leastBlocks + rng.int(blocks - leastBlocks + 1)) : largest.depths,
    kernels: has("kernel") ? largest.kernels.map(() => any(space.kernels)) : largest.kernels,
    middles: has("width") ? elasticBlocks(space).map(({ middles }) => any(middles)) : largest.middles,
  };
}
