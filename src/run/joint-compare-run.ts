/** @file `fettle joint compare`: the same limit met by the joint search, one stage after the other, fixed bits, and random search. */
import { join } from "node:path";
import { AppError } from "../errors.ts";
import type { Accelerator } from "../hardware/precision.ts";
import type { JointBudget } from "../joint/limits.ts";
import { jointLimits } from "../joint/limits.ts";
import { systemClock } from "../util/clock.ts";
import type { Card } from "./card.ts";
import { readJointDescription } from "./joint-folder.ts";
import { type JointMethod, type JointSearchRunOptions, runJointSearch } from "./joint-search-run.ts";
import { formatCost } from "./limit-kinds.ts";
import { openModel } from "./model-file.ts";
import { runPrune } from "./prune-run.ts";
import { runQuantize } from "./quantize-run.ts";

export interface JointCompareOptions extends Omit<JointSearchRunOptions, "device" | "budgets" | "method"> {
  readonly device: Accelerator;
  /** One limit: the stages of the sequential route have one each. */
  readonly budget: JointBudget & { readonly kind: "latency" | "energy" };
  /** Of the two searches by reinforcement learning in the sequential route. */
  readonly episodes: number;
}

export interface ComparedRoute {
  readonly name: string;
  /** In the unit of the limit; null when the route could not meet it, with the reason. */
  readonly cost: number | null;
  readonly reason?: string;
  readonly test: number | null;
  readonly bitOps: number | null;
  readonly fileBytes: number | null;
  /** Search and training. */
  readonly seconds: number;
}

/**
 * What pruning and quantisation each leave of the cost before them in the sequential route: its architecture, at 8 bits, may cost the
 * limit divided by both.
 */
const SHARE_OF_STAGE = 0.8;

const routeOf = ({ constraints, accuracy, bitOps, fileBytes }: Card) => ({
  cost: constraints[0]!.value,
  test: accuracy.test,
  bitOps: bitOps ?? null,
  fileBytes,
});

/** Architecture, then channels, then bits. */
async function sequential(options: JointCompareOptions, limit: number): Promise<Card> {
  const { dir, device, budget, data, recipe, episodes, onNote = () => {} } = options;
  const { kind } = budget;
  const absolute = (value: number) => ({ kind, quantity: { kind: "absolute", value } as const });
  const folder = (stage: string) => join(dir, "sequential", stage);
  const first = await runJointSearch({
    ...options,
    dir: folder("architecture"),
    budgets: [absolute(limit / SHARE_OF_STAGE ** 2)],
    method: "architecture",
  });
  const common = { data, recipe, episodes, warmup: Math.ceil(episodes / 4), baselines: false } as const;
  let model = folder("architecture");
  const value = first.card.constraints[0]!.value;
  if (value > limit / SHARE_OF_STAGE) {
    const opened = await openModel(model);
    await runPrune({
      ...options,
      ...common,
      model: opened.model,
      source: opened.path,
      dir: folder("pruned"),
      budgets: [absolute(limit / SHARE_OF_STAGE)],
      device,
      reward: "accuracy",
      step: 8,
      lowest: 0.2,
    });
    model = folder("pruned");
  } else onNote(`sequential: the architecture costs ${formatCost(kind, value)} at 8 bits, nothing is pruned`);
  const opened = await openModel(model);
  const { card } = await runQuantize({
    ...options,
    ...common,
    model: opened.model,
    source: opened.path,
    dir: folder("quantized"),
    budgets: [absolute(limit)],
    device,
    bits: { lowest: 2, highest: 8 },
    scheme: "linear",
    calibration: "mse",
    shortTune: { steps: 8, lr: 1e-3 },
  });
  return card;
}

/** Runs every route in a folder of its own; one that cannot meet the limit is told, not thrown. @throws AppError CONFIG, INFEASIBLE, STORE */
export async function runJointCompare(options: JointCompareOptions): Promise<{ limit: number; routes: ComparedRoute[] }> {
  const { supernetDir, dir, device, budget, signal, onNote = () => {}, clock = systemClock } = options;
  const { space } = readJointDescription(supernetDir);
  const [limit] = await jointLimits(space, device, [budget]);
  const budgets = [{ kind: budget.kind, quantity: { kind: "absolute", value: limit!.limit } as const }];
  const search = (name: string, method: JointMethod) => async () =>
    (await runJointSearch({ ...options, dir: join(dir, name), budgets, method })).card;
  const routes: Record<string, () => Promise<Card>> = {
    joint: search("joint", "joint"),
    random: search("random", "random"),
    ...Object.fromEntries(space.bits.filter((b) => b === 8 || b === 4).map((b) => [`${b} bits`, search(`fixed-${b}`, { fixedBits: b })])),
    sequential: () => sequential(options, limit!.limit),
  };
  const compared: ComparedRoute[] = [];
  for (const [name, run] of Object.entries(routes)) {
    if (signal?.aborted) break;
    const started = clock.nowMs();
    const seconds = () => (clock.nowMs() - started) / 1000;
    try {
      compared.push({ name, ...routeOf(await run()), seconds: seconds() });
    } catch (error) {
      if (!(error instanceof AppError && error.code === "INFEASIBLE")) throw error;
      compared.push({ name, cost: null, reason: error.message, test: null, bitOps: null, fileBytes: null, seconds: seconds() });
      onNote(`${name}: ${error.message}`);
    }
  }
  return { limit: limit!.limit, routes: compared };
}
