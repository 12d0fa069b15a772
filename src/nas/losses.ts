/** @file How cross-entropy and expected cost become one loss for the architecture parameters. */

export type CostLossName = "constraint" | "lambda_E" | "add_linear" | "mul_log";

export interface CostLossOptions {
  readonly name: CostLossName;
  /** lambda_E: λ₂ per unit of cost; add_linear: λ; constraint: the multiplier to start from. */
  readonly lambda?: number;
  /** mul_log: factor a and exponent b. */
  readonly alpha?: number;
  readonly beta?: number;
}

export interface CostLoss {
  readonly value: number;
  /** dL/dCE. */
  readonly byCrossEntropy: number;
  /** dL/dE. */
  readonly byCost: number;
}

/** Defaults of the published code: λ = 0.1, a = 0.2, b = 0.3. */
export const LOSS_DEFAULTS = { lambda: 0.1, alpha: 0.2, beta: 0.3 } as const;

/** Curvature ρ of the penalty of `constraint`, and how fast its multiplier follows. */
const PENALTY = 3;
const MULTIPLIER_RATE = 0.01;

/**
 * mul_log takes logarithms of both costs, which is undefined or turns its sign at 1: latencies go in as µs, MACs as they are. Below
 * e ≈ 2.7 of that unit the loss cannot be used.
 */
const LOG_UNITS_PER_MS = 1000;

/** (E − T)/T. */
const excess = (cost: number, target: number) => (cost - target) / target;

const rules: Record<
  CostLossName,
  (ce: number, cost: number, target: number, o: Required<CostLossOptions>, isLatency: boolean) => CostLoss
> = {
  // Augmented Lagrangian of "E ≤ T": slope max(0, λ + ρ·(E − T)/T)/T, with λ moved by `nextMultiplier` after each step.
  constraint: (ce, cost, target, { lambda }) => {
    const slope = Math.max(0, lambda + PENALTY * excess(cost, target));
    return { value: ce + (slope ** 2 - lambda ** 2) / (2 * PENALTY), byCrossEntropy: 1, byCost: slope / target };
  },
  // Paper, eq. 6 without the weight decay, which the weight optimizer applies: CE + λ₂·E.
  lambda_E: (ce, cost, _, { lambda }) => ({ value: ce + lambda * cost, byCrossEntropy: 1, byCost: lambda }),
  // CE + λ·(E − T)/T.
  add_linear: (ce, cost, target, { lambda }) => ({
    value: ce + (lambda * (cost - target)) / target,
    byCrossEntropy: 1,
    byCost: lambda / target,
  }),
  // a·CE·(ln E / ln T)^b.
  mul_log: (ce, cost, target, { alpha, beta }, isLatency) => {
    const unit = isLatency ? LOG_UNITS_PER_MS : 1;
    const [e, t] = [Math.log(Math.max(cost * unit, Math.E)), Math.log(Math.max(target * unit, Math.E))];
    const factor = (e / t) ** beta;
    return { value: alpha * ce * factor, byCrossEntropy: alpha * factor, byCost: (alpha * ce * beta * factor) / (e * cost) };
  },
};

/**
 * @param ce     cross-entropy, nats
 * @param cost   expected cost E, ms or MACs
 * @param target reference cost T, same unit
 */
export function costLoss(ce: number, cost: number, target: number, isLatency: boolean, options: CostLossOptions): CostLoss {
  return rules[options.name](ce, cost, target, { ...LOSS_DEFAULTS, ...options }, isLatency);
}

/**
 * λ ← max(0, λ + η·(E − T)/T): a fixed weight ends far above or far below the limit, depending on how much the data punishes
 * cheap networks; this one ends at it. Source: Hestenes 1969 and Powell 1969, the method of multipliers.
 */
export function nextMultiplier(lambda: number, cost: number, target: number): number {
  return Math.max(0, lambda + MULTIPLIER_RATE * excess(cost, target));
}
