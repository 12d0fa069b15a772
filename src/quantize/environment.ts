/** @file A network as a sequence of decisions: how many bits each layer's weights and activations have. */
import type { Precision } from "../hardware/precision.ts";
import { normalisedColumns } from "../rl/features.ts";
import type { Environment } from "../rl/policy-search.ts";
import { actionOf, optionOf, type PrecisionLimits, withinBudget } from "./budget.ts";
import type { QuantizableLayer } from "./layers.ts";

/** Bits by layer as the search writes them: w₀, a₀, w₁, a₁, … */
export const toDecisions = (bits: readonly Precision[]): number[] =>
  bits.flatMap(({ weightBits, activationBits }) => [weightBits, activationBits]);
export const fromDecisions = (decisions: readonly number[]): Precision[] =>
  Array.from({ length: decisions.length / 2 }, (_, i) => ({ weightBits: decisions[2 * i]!, activationBits: decisions[2 * i + 1]! }));

type Side = "weightBits" | "activationBits";

export interface PrecisionEnvironment extends Environment {
  /** The actions of an episode that decides these bits. */
  actionsOf(bits: readonly Precision[]): number[];
}

export interface PrecisionEnvironmentOptions extends PrecisionLimits {
  readonly layers: readonly QuantizableLayer[];
}

/** (k, c_in, c_out, kernel, stride, feature map, weights, depthwise) of each layer, columns scaled to [0, 1]. */
function layerFeatures(layers: readonly QuantizableLayer[]): number[][] {
  return normalisedColumns(
    layers.map(({ geometry, isLinear, isDepthwise, weightCount }, k) => {
      const { inChannels, outChannels, kernel, stride, inputSize } = geometry;
      const pixels = isLinear ? inChannels : inputSize[0] * inputSize[1];
      return [k, inChannels, outChannels, kernel[0], isLinear ? 0 : stride[0], pixels, weightCount, isDepthwise ? 1 : 0];
    }),
  );
}

/**
 * The state of a decision: the layer's features, 1 for weights or 0 for activations, and the decision before as a share of the most
 * bits. Two decisions a layer, weights first; one where a device couples them or has a single option for one side.
 *
 * Paper: Wang et al. 2019 (HAQ), arXiv:1811.08886, section 3.2. Deviations: the flag is set by what is decided (the published code
 * inverts it after the first step); pinned layers are pinned always; bits that cost nothing are given back after the budget is met.
 */
export function createPrecisionEnvironment({ layers, ...limits }: PrecisionEnvironmentOptions): PrecisionEnvironment {
  const { choices, pins } = limits;
  const features = layerFeatures(layers);
  const most = { weightBits: choices.weightBits.at(-1)!, activationBits: choices.activationBits.at(-1)! };
  const sides: readonly Side[] = choices.isCoupled ? ["weightBits"] : ["weightBits", "activationBits"];
  const decided = sides.filter((side) => choices[side].length > 1);
  return {
    stateSize: 10,
    actionsOf: (bits) => bits.flatMap((precision, k) => (pins[k] ? [] : decided.map((side) => actionOf(choices[side], precision[side])))),
    play: (choose) => {
      const asked: { state: readonly number[]; action: number; layer: number; side: Side }[] = [];
      let previous = 1;
      const decide = (k: number, side: Side): number => {
        const options = choices[side];
        if (options.length === 1) return options[0]!;
        const state = [...features[k]!, side === "weightBits" ? 1 : 0, previous];
        const action = choose(state);
        const bits = optionOf(options, action);
        previous = bits / most[side];
        asked.push({ state, action, layer: k, side });
        return bits;
      };
      const wanted = pins.map((pin, k): Precision => {
        if (pin) return pin;
        const weightBits = decide(k, "weightBits");
        return { weightBits, activationBits: choices.isCoupled ? weightBits : decide(k, "activationBits") };
      });
      const bits = withinBudget(wanted, limits);
      const steps = asked.map(({ state, action, layer, side }) => ({ state, action, taken: actionOf(choices[side], bits[layer]![side]) }));
      return { decisions: toDecisions(bits), steps };
    },
  };
}
