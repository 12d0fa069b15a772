/** @file A network as a sequence of decisions: how many channels each group keeps, within a budget. */
import type { Graph, Model } from "../graph/types.ts";
import type { EpisodeStep } from "../rl/ddpg.ts";
import type { Environment } from "../rl/policy-search.ts";
import { boundedCount, fewest, type Rounding } from "./budget.ts";
import { type CostOf, type LayerShape, layerMacs, layerShapes, sumOverLayers } from "./costs.ts";
import { type Coupling, traceChannels } from "./coupling.ts";
import { layerFeatures } from "./features.ts";
import { type ChannelGroup, channelGroups } from "./groups.ts";
import { actionsWithin } from "./scaled.ts";
import { removeChannels } from "./surgery.ts";

/** What can be decided about a graph. */
export interface Prunable {
  readonly graph: Graph;
  readonly coupling: Coupling;
  /** Groups that can be pruned, in the order in which they are decided. */
  readonly groups: readonly ChannelGroup[];
  /** Groups that must stay, with their reasons. */
  readonly kept: readonly ChannelGroup[];
  readonly layers: readonly LayerShape[];
}

export function analyse(graph: Graph): Prunable {
  const coupling = traceChannels(graph);
  const all = channelGroups(graph, coupling);
  const groups = all.filter(({ reason }) => reason === null);
  return { graph, coupling, groups, kept: all.filter(({ reason }) => reason !== null), layers: layerShapes(graph, coupling, groups) };
}

export const groupSizes = ({ groups }: Prunable): number[] => groups.map(({ atoms }) => atoms.length);
export const hasDepthwise = ({ layers }: Prunable): boolean => layers.some(({ isDepthwise }) => isDepthwise);

/** Channels of one member of each group: several in grouped convolutions, and where the same channel is read in several places. */
export const channelsPerMember = ({ groups, layers }: Prunable): number[] =>
  groups.map((_, g) =>
    layers
      .flatMap(({ widthIn, widthOut }) => [...widthIn.perAtom, ...widthOut.perAtom])
      .filter(({ group }) => group === g)
      .reduce((most, { channels }) => Math.max(most, Math.round(channels)), 1),
  );

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));

/** Members of each group that come to a multiple of `step` channels. */
export const memberSteps = (prunable: Prunable, step: number): number[] =>
  channelsPerMember(prunable).map((channels) => step / greatestCommonDivisor(step, channels));

/** The model with `kept` members of every group, whichever those are: of the size that a policy gives, not of its accuracy. */
export function narrowed(model: Model, { groups, coupling }: Prunable, kept: readonly number[]): Model {
  const removed = groups.flatMap(({ atoms }, g) => [...atoms.slice(kept[g]!)]);
  return removed.length === 0 ? model : removeChannels(model, new Set(removed), coupling);
}

export const macsCost = ({ layers }: Prunable): CostOf => sumOverLayers(layers, layerMacs);

export interface EnvironmentOptions {
  readonly prunable: Prunable;
  /** What the budget limits. */
  readonly cost: CostOf;
  /** In the unit of `cost`; Infinity for none. */
  readonly budget: number;
  readonly rounding: Rounding;
}

/**
 * The state of group t: (t, n, c, h, w, stride, k, MACs[t], reduced, rest, a[t−1]) of the first layer that reads its channels; n
 * and c are that layer's output and input channels, `reduced` the share of all MACs that earlier decisions removed, `rest` that of
 * later layers, a[t−1] the share that the group before kept. Paper: He et al. 2018 (AMC), section 3.1, eq. 1.
 *
 * Deviation with strict rounding: the paper's bound cuts later actions to what earlier ones left of the budget, and leaves unused what
 * the actions do not ask for. It decides the states here; what is kept are all actions scaled by one factor to the whole budget.
 */
export function createEnvironment({ prunable, cost, budget, rounding }: EnvironmentOptions): Environment {
  const { groups, layers } = prunable;
  const sizes = groupSizes(prunable);
  const macs = macsCost(prunable);
  const total = macs(sizes);
  const first = groups.map(({ consumers }) => layers.find(({ node }) => node.name === consumers[0])!);
  const fixed = layerFeatures(first, (layer) => layerMacs(layer, layer.input[0]!, layer.output[0]!));
  const order = new Map(layers.map(({ node }, i) => [node.name, i]));
  const rest = first.map(
    (layer) => layers.slice(order.get(layer.node.name)! + 1).reduce((sum, l) => sum + layerMacs(l, l.input[0]!, l.output[0]!), 0) / total,
  );
  const isScaled = rounding.isStrict && Number.isFinite(budget);
  return {
    stateSize: 11,
    play: (choose) => {
      const kept = sizes.map((size, t) => fewest(size, rounding, t));
      const decided = [...sizes];
      const steps: EpisodeStep[] = [];
      let previous = 1;
      for (const [t, size] of sizes.entries()) {
        const state = [...fixed[t]!, 1 - macs(decided) / total, rest[t]!, previous];
        const action = choose(state);
        kept[t] = boundedCount(cost, kept, t, size, action, budget, rounding);
        decided[t] = kept[t];
        previous = kept[t] / size;
        steps.push({ state, action, taken: previous });
      }
      const whole = { sizes, cost, budget, rounding };
      const scaled = isScaled
        ? actionsWithin(
            steps.map(({ action }) => action),
            whole,
          )
        : null;
      if (!scaled) return { decisions: kept, steps };
      return { decisions: scaled, steps: steps.map((step, t) => ({ ...step, taken: scaled[t]! / sizes[t]! })) };
    },
  };
}
