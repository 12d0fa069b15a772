/** @file `fettle joint compare`: the same limit met by the joint search, one stage after the other, fixed bits, and random search. */
import { join } from "node:path";
import { AppError } from "../errors.ts";
import { jointLimits } from "../joint/limits.ts";
import { systemClock } from "../util/clock.ts";
import type { Card } from "./card.ts";
import { CALIBRATION_BATCHES, calibrationImages } from "./compression-steps.ts";
import { openRunFolder, type RunFolder } from "./folder.ts";
import { readJointDescription } from "./joint-folder.ts";
import type { JointMethod } from "./joint-search-options.ts";
import { runJointSearch } from "./joint-search-run.ts";
import { openJointTeacher } from "./joint-teacher.ts";
import { clearFolder } from "./replace.ts";
import { readKept, requireSameRun } from "./resume.ts";
import { inFolder, type JointCompareOptions, runSequentialRoute, SEQUENTIAL } from "./sequential-route.ts";
import { COMPARISON, folderOfRoute, type RouteName } from "./stage-names.ts";
import { requireBatch } from "./train-run.ts";

export interface ComparedRoute {
  readonly name: string;
  /** In the unit of the limit; null when the route could not meet it, with the reason. */
  readonly cost: number | null;
  readonly reason?: string;
  readonly test: number | null;
  readonly bitOps: number | null;
  readonly fileBytes: number | null;
  /** Whether the limit is met; null for a route that could not. */
  readonly isMet: boolean | null;
  /** Of training what was found, over all stages. */
  readonly epochs: number;
  /** Search and training, since the route was last gone on with; that of the supernet is not in it. */
  readonly seconds: number;
}
export interface JointCompareResult {
  readonly limit: number;
  /** Those that were run to their end. */
  readonly routes: readonly ComparedRoute[];
  readonly isCancelled: boolean;
}

const routeOf = ({ constraints: [constraint], accuracy, bitOps, fileBytes }: Card) => ({
  cost: constraint!.value,
  isMet: constraint!.isMet,
  test: accuracy.test,
  bitOps: bitOps ?? null,
  fileBytes,
});

/** Opens the folder for the routes. @throws AppError CONFIG when another comparison is to be gone on with */
function begin({ dir, config, resume, clock }: JointCompareOptions): RunFolder {
  if (resume) requireSameRun(dir, config, []);
  else clearFolder(dir);
  const folder = openRunFolder(dir, config, clock);
  if (!resume) folder.writeJson(COMPARISON, { routes: [] });
  return folder;
}

/** What keeps one route from its end, and not the others. */
const OF_A_ROUTE: ReadonlySet<string> = new Set(["INFEASIBLE", "NOT_REACHED", "BACKEND", "DIVERGED", "ONNX"]);
/** Beside bits that differ, if the space has them. */
const FIXED_BITS = [4, 8] as const;
/** The sequential route costs its architectures at so many. */
const SEQUENTIAL_BITS = 8;

/**
 * Runs every route in a folder of its own, all with the same teacher, and keeps the table of those that are done; one that cannot meet the limit is told, not thrown.
 * @throws AppError CONFIG, INFEASIBLE, STORE
 */
export async function runJointCompare(given: JointCompareOptions): Promise<JointCompareResult> {
  const { supernetDir, dir, device, budget, data, recipe, signal, onNote = () => {}, clock = systemClock } = given;
  const { space } = readJointDescription(supernetDir);
  if (!space.bits.includes(SEQUENTIAL_BITS))
    throw new AppError(
      "CONFIG",
      `joint compare: the space must let layers have ${SEQUENTIAL_BITS} bits, by which the sequential route costs them, got ${space.bits.join(", ")}`,
    );
  requireBatch(data, recipe.batchSize);
  const [limit] = await jointLimits(space, device, [budget]);
  const images = calibrationImages(data, recipe.seed, CALIBRATION_BATCHES);
  using teacher = openJointTeacher(space, supernetDir, { data, images });
  const options = { ...given, teacher };
  const budgets = [{ kind: budget.kind, quantity: { kind: "absolute", value: limit!.limit } as const }];
  const search = (name: RouteName, method: JointMethod) => async () =>
    (await runJointSearch({ ...options, ...inFolder(join(dir, folderOfRoute(name)), options), budgets, method })).card;
  const routes: Partial<Record<RouteName, () => Promise<Card>>> = {
    joint: search("joint", "joint"),
    random: search("random", "random"),
    ...Object.fromEntries(
      FIXED_BITS.filter((b) => space.bits.includes(b)).map((b) => [`${b} bits`, search(`${b} bits`, { fixedBits: b })]),
    ),
    [SEQUENTIAL]: () => runSequentialRoute(options, limit!.limit),
  };
  using folder = begin(options);
  const compared = [...(readKept<JointCompareResult>(dir, COMPARISON, given)?.routes ?? [])];
  const comparison = () => ({
    kind: budget.kind,
    limit: limit!.limit,
    routes: compared,
    isFinished: compared.length === Object.keys(routes).length,
  });
  for (const [name, run] of Object.entries(routes)) {
    if (compared.some((route) => route.name === name)) continue;
    const started = clock.nowMs();
    const common = () => ({ name, epochs: recipe.epochs, seconds: (clock.nowMs() - started) / 1000 });
    try {
      const card = await run();
      if (!signal?.aborted) compared.push({ ...common(), ...routeOf(card) });
    } catch (error) {
      if (signal?.aborted && error instanceof AppError && error.code === "NOT_REACHED") break;
      if (!(error instanceof AppError && OF_A_ROUTE.has(error.code))) throw error;
      compared.push({ ...common(), cost: null, isMet: null, reason: error.message, test: null, bitOps: null, fileBytes: null });
      onNote(`${name}: ${error.message}`);
    }
    if (signal?.aborted) break;
    folder.writeJson(COMPARISON, comparison());
  }
  if (comparison().isFinished) folder.finish();
  return { limit: limit!.limit, routes: compared, isCancelled: signal?.aborted === true };
}
