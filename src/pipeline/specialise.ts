/** @file From images to a model by the joint search: a supernet trained once, then the sub-net and bits for the limits. */
import { AppError } from "../errors.ts";
import { isAccelerator } from "../hardware/kinds.ts";
import { floatSpace } from "../joint/costs.ts";
import { cheapestGenome, dearest, type JointDevice, jointLimits } from "../joint/limits.ts";
import { SHORT_TUNE } from "../quantize/short-tune.ts";
import type { JointDescription } from "../run/joint-folder.ts";
import { requireEachReachable, requireSmallestWithin } from "../run/joint-limits.ts";
import { runJointSearch } from "../run/joint-search-run.ts";
import { runJointTrain } from "../run/joint-train-run.ts";
import { LIMIT_KINDS } from "../run/limit-kinds.ts";
import { openModel } from "../run/model-file.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { largestSubnet, smallestSubnet } from "../space/subnet.ts";
import { subnetGraph } from "../space/subnet-graph.ts";
import { lrFor } from "../train/recipe.ts";
import { compress } from "./compress.ts";
import {
  defaultJoint,
  defaultTuneEpochs,
  type JointEffort,
  jointTakesMs,
  leastJointMs,
  leastSearchMs,
  leastTuningMs,
  type Pace,
  planJoint,
  requireTime,
} from "./effort.ts";
import { BITOPS_PER_MAC, type CostLimit, SIZE_AT_EIGHT_BITS } from "./limits.ts";
import { measurePace } from "./pace.ts";
import { type AbsoluteLimit, commonOptions, imagesOf, type Route, type StageOutcome, type StageSettings } from "./settings.ts";
import { requireReachOfSmallest } from "./smallest.ts";
import { unlessOutOfReach } from "./so-far.ts";
import { createSupernetPace } from "./supernet-pace.ts";
import { recipeForTime } from "./tuning.ts";

export interface SpecialiseOptions {
  readonly space: ElasticSpace;
  /** How the images can be loaded again. */
  readonly source: JointDescription["data"];
}

/** Highest learning rate of a sub-net that was found in a supernet that is trained to the end. */
const REFINEMENT_LR = 0.05;
/** Of the whole time: the supernet with its predictors. */
const SUPERNET_SHARE = 0.45;
/** Of what is left then: the choice of a sub-net and its training. */
const SPECIALISED_SHARE = { "before bits": 0.6, last: 1 } as const;

interface Plan {
  /** Of the run. */
  readonly costs: readonly AbsoluteLimit[];
  /** Of the joint search. */
  readonly limits: readonly AbsoluteLimit[];
  /** Of quantisation after it: what computes with floats can still be stored in few bits. */
  readonly later: readonly AbsoluteLimit[];
  readonly pace: Pace | null;
  readonly effort: JointEffort;
}

const absolute = ({ kind, limit }: AbsoluteLimit) => ({ kind, quantity: { kind: "absolute", value: limit } as const });

/** A limit that quantisation will meet, as one that the joint search of float sub-nets can leave to it. */
function leftToBits({ kind, limit }: AbsoluteLimit): AbsoluteLimit {
  if (kind === "size") return { kind, limit: limit / SIZE_AT_EIGHT_BITS };
  return { kind: "macs", limit: limit / BITOPS_PER_MAC };
}

/** The limits in absolute terms; percentages are of the largest sub-net, with floats or at 8 bits as the limit needs. */
async function resolved(
  space: ElasticSpace,
  costs: readonly CostLimit[],
  device: JointDevice,
): Promise<Pick<Plan, "costs" | "limits" | "later">> {
  if (isAccelerator(device)) {
    const limits: AbsoluteLimit[] = [];
    for (const cost of costs) {
      // a percentage of a size is of the float file, as everywhere
      const isOfFloats = cost.kind === "size" && cost.quantity.kind === "percent";
      const [one] = await jointLimits(isOfFloats ? floatSpace(space) : space, device, [cost]);
      limits.push({ kind: cost.kind, limit: one!.limit });
    }
    return { costs: limits, limits, later: [] };
  }
  const asLimited = costs.map(({ kind, quantity }) => ({ kind: kind === "bitops" ? ("macs" as const) : kind, quantity }));
  await requireSmallestWithin(space, device, asLimited);
  const limits = await jointLimits(floatSpace(space), device, asLimited);
  const all = costs.map(({ kind, quantity }, i): AbsoluteLimit => {
    const isScaled = kind === "bitops" && quantity.kind === "percent";
    return { kind, limit: limits[i]!.limit * (isScaled ? BITOPS_PER_MAC : 1) };
  });
  const later = all.filter(({ kind }) => kind === "size" || kind === "bitops");
  return { costs: all, limits: all.map((one) => (later.includes(one) ? leftToBits(one) : one)), later };
}

/** Feasibility of the limits in the space; decided once. @throws AppError INFEASIBLE, CONFIG */
function planOf({ space }: SpecialiseOptions, costs: readonly CostLimit[], settings: StageSettings): Promise<Plan> {
  const { data, device, recipe, deadline, clock, stages, onNote } = settings;
  const withBits = isAccelerator(device);
  return stages.once("reach of the space", async () => {
    const { limits: searchedFor, later, ...asked } = await resolved(space, costs, device);
    const searched = withBits ? space : floatSpace(space);
    const known = await jointLimits(searched, device, searchedFor.map(absolute));
    const reached = known.map((one, i) => {
      const least = one.cost(cheapestGenome(searched, one.cost));
      const { title, format } = LIMIT_KINDS[one.kind];
      onNote(`${title}: networks of the space ${space.name} have ${format(least)} to ${format(one.cost(dearest(searched)))}`);
      const asks = asked.costs[i]!;
      // what fewer bits and pruning are to meet, the smallest network may leave to them
      return later.includes(asks) ? { ...one, limit: Math.max(one.limit, least) } : one;
    });
    requireEachReachable(searched, reached);
    if (later.length > 0) await requireReachOfSmallest(subnetGraph(space, smallestSubnet(space)), later.map(absolute), settings);
    const limits = reached.map(({ kind, limit }): AbsoluteLimit => ({ kind, limit }));
    const left = deadline.leftMs();
    const pace = left === null ? null : measurePace(subnetGraph(space, largestSubnet(space)), data, recipe.batchSize, clock);
    const counts = imagesOf(settings);
    const usual = defaultJoint(counts, withBits);
    if (!pace || left === null) return { ...asked, limits, later, pace, effort: usual };
    const afterwards = leastTuningMs(pace, counts, withBits) + (later.length > 0 ? leastSearchMs("quantized", pace, counts) : 0);
    requireTime(left, leastJointMs(pace, counts, withBits) + afterwards);
    const effort = planJoint(Math.min(SUPERNET_SHARE * left, left - afterwards), pace, counts, withBits);
    onNote(`in this time ${describeEffort(effort)}; without --time ${describeEffort(usual)}`);
    return { ...asked, limits, later, pace, effort };
  });
}

const describeEffort = ({ epochs, floatSamples, quantizedSamples }: JointEffort): string =>
  `the supernet is trained for ${epochs} epochs, and its predictors on ${floatSamples} sub-nets${quantizedSamples > 0 ? ` and ${quantizedSamples} with bits` : ""}`;

/** @throws AppError INFEASIBLE before anything is trained, NOT_REACHED when it was interrupted before there was a network; CONFIG, STORE */
export async function specialise(options: SpecialiseOptions, costs: readonly CostLimit[], settings: StageSettings): Promise<Route> {
  const { data, device, recipe, deadline, clock, stages, signal } = settings;
  const { costs: asked, limits, later, pace, effort } = await planOf(options, costs, settings);
  const supernet = await stages.run("supernet", ({ dir, resume }) => {
    const { distillation, ...common } = commonOptions(settings, "supernet");
    const timeUp = deadline.until(SUPERNET_SHARE);
    const left = deadline.leftMs();
    const samples = { ...effort, epochs: 0 };
    const epochsOf =
      pace && left !== null
        ? createSupernetPace({
            deadline,
            clock,
            pace,
            images: imagesOf(settings),
            reservedMs: (1 - SUPERNET_SHARE) * left + jointTakesMs(samples, pace, imagesOf(settings)),
          })
        : null;
    return runJointTrain({
      ...common,
      ...(timeUp ? { timeUp } : {}),
      ...(epochsOf ? { epochsOf } : {}),
      isThorough: false,
      ...options,
      data,
      dir,
      resume,
      ...effort,
      lr: recipe.lr,
      batchSize: recipe.batchSize,
      weightDecay: 4e-5,
      augmentation: recipe.augmentation,
      tuneLr: lrFor(recipe.batchSize, SHORT_TUNE.lr),
      seed: recipe.seed,
    });
  });
  if (supernet.isCancelled)
    throw new AppError(
      "NOT_REACHED",
      `optimize: the supernet must be trained before there is a network, got an interruption — fettle resume ${settings.dir} goes on with it`,
    );
  const found = await stages.run("specialised", async ({ dir, resume }): Promise<StageOutcome> => {
    const share = SPECIALISED_SHARE[later.length > 0 ? "before bits" : "last"];
    const until = deadline.until(share);
    // the largest of a supernet that was trained for a while only is no better than what is found: nothing is learnt from it
    const isRefined = effort.epochs >= defaultJoint(imagesOf(settings), isAccelerator(device)).epochs / 2;
    const lr = isRefined ? lrFor(recipe.batchSize, REFINEMENT_LR) : recipe.lr;
    const recipeFor = recipeForTime("specialised", share, () => lr, settings);
    const epochs = settings.epochs ?? defaultTuneEpochs(imagesOf(settings));
    const { card, isCancelled } = await runJointSearch({
      ...commonOptions(settings, "specialised"),
      distillation: settings.distillation && isRefined,
      ...(until ? { until } : {}),
      ...(recipeFor ? { recipeFor } : {}),
      supernetDir: stages.dirOf("supernet"),
      data,
      device,
      budgets: limits.map(absolute),
      isReachable: true,
      recipe: { ...recipe, epochs, lr },
      dir,
      resume,
    });
    return { stage: "specialised", card, constraints: card.constraints, originalTest: supernet.largest!, isCancelled };
  });
  if (later.length === 0 || signal?.aborted) return { costs: asked, outcomes: [found] };
  const opened = await openModel(stages.dirOf("specialised"));
  const rest = await unlessOutOfReach(() => compress(opened, later.map(absolute), settings), settings);
  return { costs: asked, outcomes: [found, ...(rest?.outcomes ?? [])] };
}
