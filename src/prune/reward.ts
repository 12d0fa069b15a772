/** @file What a pruned network is worth. Paper: He et al. 2018 (AMC), arXiv:1802.03494, section 3.4. */
import type { RewardOf } from "../rl/policy-search.ts";
import type { CostOf } from "./costs.ts";

/**
 * `accuracy`: −error, for a budget that the action bound keeps. `flops`, `params`: −error · ln(MACs or parameters), which trades
 * both without a budget.
 */
export type RewardName = "accuracy" | "flops" | "params";

/** @param leastError below which an error is not told from none, of half an image for example: without errors costs would not count */
export function rewardOf(name: RewardName, macs: CostOf, params: CostOf, leastError = 0): RewardOf {
  const error = (accuracy: number) => Math.max(leastError, 1 - accuracy);
  const rewards: Record<RewardName, RewardOf> = {
    accuracy: ({ accuracy }) => accuracy - 1,
    flops: ({ accuracy }, kept) => -error(accuracy) * Math.log(macs(kept)),
    params: ({ accuracy }, kept) => -error(accuracy) * Math.log(params(kept)),
  };
  return rewards[name];
}
