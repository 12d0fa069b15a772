/** @file How cross-entropy and expected cost become one loss for the architecture parameters. */

export type CostLossName = "lambda_E" | "add_linear" | "mul_log";

export interface CostLossOptions {
  readonly name: CostLossName;
  /** lambda_E: λ₂ per unit of cost; add_linear: λ. */
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

/**
 * mul_log takes logarithms of both costs, which is undefined or turns its sign at 1: latencies go in as µs, MACs as they are. Below
 * e ≈ 2.7 of that unit the loss cannot be used.
 */
const LOG_UNITS_PER_MS = 1000;

const rules: Record<CostLossName, (ce: number, cost: number, target: number, o: Required<CostLossOptions>, isLatency: boolean) => CostLoss> = {
  // Paper, eq. 6 without the weight decay, which the weight optimizer applies: CE + λ₂·E.
  lambda_E: (ce, cost, _, { lambda }) => ({ value: ce + lambda * cost, byCrossEntropy: 1, byCost: lambda }),
  // CE + λ·(E − T)/T.
  add_linear: (ce, cost, target, { lambda }) => ({ value: ce + (lambda * (cost - target)) / target, byCrossEntropy: 1, byCost: lambda / target }),
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
