/** @file The sequential route of a comparison: the architecture at 8 bits, then its channels, then its bits, each within its share of the limit. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Accelerator } from "../hardware/precision.ts";
import type { JointBudget } from "../joint/limits.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { Card } from "./card.ts";
import { readJointDescription } from "./joint-folder.ts";
import type { JointSearchRunOptions } from "./joint-search-options.ts";
import { runJointSearch } from "./joint-search-run.ts";
import { formatCost } from "./limit-kinds.ts";
import { openModel } from "./model-file.ts";
import { runPrune } from "./prune-run.ts";
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
  let [before, left] = ["architecture", recipe.epochs - third];
  const { value } = architecture.constraints[0]!;
  if (value > limit / SHARE_OF_STAGE) {
    const pruned = await once("pruned", async (folder) =>
      runPrune({
        ...options,
        ...common,
        ...trained(third, RATES.pruned),
        ...folder,
        ...(await of(path(before))),
        budgets: [absolute(limit / SHARE_OF_STAGE)],
        device,
        reward: "accuracy",
        step: 8,
        lowest: 0.2,
      }),
    );
    if (signal?.aborted) return pruned;
    [before, left] = ["pruned", left - third];
  } else onNote(`sequential: the architecture costs ${formatCost(kind, value)} at 8 bits, nothing is pruned`);
  return once("quantized", async (folder) =>
    runQuantize({
      ...options,
      ...common,
      ...trained(left, RATES.quantized),
      ...folder,
      ...(await of(path(before))),
      budgets: [absolute(limit)],
      device,
      bits: { lowest: Math.min(...bits), highest: Math.max(...bits) },
      scheme: "linear",
      calibration: "mse",
      shortTune: SHORT_TUNE,
    }),
  );
}
