/** @file The sequential route of a comparison: the architecture at 8 bits, then its channels, then its bits, each within its share of the limit. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Accelerator } from "../hardware/precision.ts";
import type { JointBudget } from "../joint/limits.ts";
import { quantizableLayers } from "../quantize/layers.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { Card } from "./card.ts";
import { readJointDescription } from "./joint-folder.ts";
import type { JointSearchRunOptions } from "./joint-search-options.ts";
import { runJointSearch } from "./joint-search-run.ts";
import { formatCost } from "./limit-kinds.ts";
import { openModel } from "./model-file.ts";
import { runPrune } from "./prune-run.ts";
import { leastOnAccelerator } from "./quantize-limits.ts";
import { runQuantize } from "./quantize-run.ts";
import { requireFreeFolder } from "./replace.ts";
import { readKept } from "./resume.ts";
import type { RouteName } from "./stage-names.ts";

export interface JointCompareOptions extends Omit<JointSearchRunOptions, "device" | "budgets" | "method"> {
  /** Replace what the folder holds. */
  readonly overwrite?: boolean;
  readonly device: Accelerator;
  /** One limit: the stages of the sequential route have one each. */
  readonly budget: JointBudget & { readonly kind: "latency" | "energy" };
  /** Of the two searches by reinforcement learning in the sequential route. */
  readonly episodes: number;
}

export const SEQUENTIAL = "sequential" satisfies RouteName;

/**
 * What pruning and quantisation each leave of the cost before them in the sequential route: its architecture, at 8 bits, may cost the
 * limit divided by both.
 */
const SHARE_OF_STAGE = 0.8;
/** Pruned to that share, a network may be one that no bits bring within the limit: then it is pruned again, to what they can bring there. */
const PRUNINGS = ["pruned", "pruned again"] as const;
/** The smaller a network, the less bits give: pruning aims this much below what they must make up for. */
const MARGIN = 0.95;
/** Learning rates beside that of sub-nets with new bits: as the commands for each stage have them by default. */
const RATES = { pruned: 2, quantized: 0.4 } as const;

/** The folder of a stage or route: gone on with where it was begun, else made ready for another run. */
export function inFolder(dir: string, { resume, overwrite = false }: JointCompareOptions) {
  const isBegun = resume === true && existsSync(join(dir, "config.json"));
  if (!isBegun) requireFreeFolder(dir, { overwrite });
  return { dir, resume: isBegun };
}

/** Architecture, then channels, then bits; together they are trained as long as any other route. Stages that were finished before are kept. */
export async function runSequentialRoute(options: JointCompareOptions, limit: number): Promise<Card> {
  const { dir, device, budget, data, recipe, episodes, signal, onNote = () => {} } = options;
  const { kind } = budget;
  const { bits } = readJointDescription(options.supernetDir).space;
  const range = { lowest: Math.min(...bits), highest: Math.max(...bits) };
  const absolute = (value: number) => ({ kind, quantity: { kind: "absolute", value } as const });
  const path = (stage: string) => join(dir, SEQUENTIAL, stage);
  const third = Math.floor(recipe.epochs / 3);
  const trained = (epochs: number, rate = 1) => ({ recipe: { ...recipe, epochs, lr: rate * recipe.lr } });
  const common = { data, episodes, warmup: Math.ceil(episodes / 4), baselines: false } as const;
  const of = async (model: string) => {
    const opened = await openModel(model);
    return { model: opened.model, source: opened.path };
  };
  /** A stage's card, of before where it was finished. */
  const once = async (stage: string, run: (folder: ReturnType<typeof inFolder>) => Promise<{ readonly card: Card }>): Promise<Card> => {
    const before = readKept<Card>(dir, `${stage}.json`, options);
    if (before) return before;
    const { card } = await run(inFolder(path(stage), options));
    if (!signal?.aborted) writeFileAtomic(`${path(stage)}.json`, JSON.stringify(card));
    return card;
  };
  const architecture = await once("architecture", (folder) =>
    runJointSearch({
      ...options,
      ...trained(third),
      ...folder,
      budgets: [absolute(limit / SHARE_OF_STAGE ** 2)],
      method: "architecture",
    }),
  );
  if (signal?.aborted) return architecture;
  let [before, cost, target] = ["architecture", architecture.constraints[0]!.value, limit / SHARE_OF_STAGE];
  for (const stage of PRUNINGS) {
    const { graph } = (await of(path(before))).model;
    const least = leastOnAccelerator(quantizableLayers(graph), { kind, device, bits: range });
    if (cost <= target && least <= limit) break;
    target = Math.min(target, (MARGIN * limit * cost) / least);
    const pruned = await once(stage, async (folder) =>
      runPrune({
        ...options,
        ...common,
        ...trained(third, RATES.pruned),
        ...folder,
        ...(await of(path("architecture"))),
        budgets: [absolute(target)],
        device,
        reward: "accuracy",
        step: 8,
        lowest: 0.2,
      }),
    );
    if (signal?.aborted) return pruned;
    [before, cost] = [stage, pruned.constraints[0]!.value];
  }
  const isPruned = before !== "architecture";
  if (!isPruned) onNote(`sequential: the architecture costs ${formatCost(kind, cost)} at 8 bits, nothing is pruned`);
  return once("quantized", async (folder) =>
    runQuantize({
      ...options,
      ...common,
      ...trained(recipe.epochs - (isPruned ? 2 : 1) * third, RATES.quantized),
      ...folder,
      ...(await of(path(before))),
      budgets: [absolute(limit)],
      device,
      bits: range,
      scheme: "linear",
      calibration: "mse",
      shortTune: SHORT_TUNE,
    }),
  );
}
