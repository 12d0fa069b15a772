/** @file From probabilities to one architecture. */
import type { Architecture } from "../space/architecture.ts";
import { type CostTable, costOf } from "./costs.ts";

const argmax = (values: ArrayLike<number>) => {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
};

/** The most probable choice of every block. */
export function mostProbable(probabilities: readonly Float64Array[]): Architecture {
  return probabilities.map(argmax);
}

/** Mean over blocks of −Σ p ln p, nats: how undecided the search is. */
export function meanEntropy(probabilities: readonly Float64Array[]): number {
  const entropy = (p: Float64Array) => p.reduce((sum, x) => (x > 0 ? sum - x * Math.log(x) : sum), 0);
  return probabilities.reduce((sum, p) => sum + entropy(p), 0) / probabilities.length;
}

interface Partial {
  readonly cost: number;
  readonly logProbability: number;
  readonly choice: number;
  readonly before: Partial | null;
}

/** Most partial networks kept per block; beyond it the front is thinned to evenly spaced costs. */
const FRONT_LIMIT = 4000;

/**
 * The architecture of largest Π p whose cost does not exceed the budget, by dynamic programming over the Pareto front of
 * (cost, log-probability) block by block; null when none fits. Exact while the front stays below 4,000 points, and never above
 * the budget.
 */
export function mostProbableWithin(probabilities: readonly Float64Array[], table: CostTable, budget: number): Architecture | null {
  const cheapestRest = new Array<number>(probabilities.length + 1).fill(0);
  for (let b = probabilities.length - 1; b >= 0; b--) cheapestRest[b] = cheapestRest[b + 1]! + Math.min(...table.perChoice[b]!);
  let front: (Partial | null)[] = [null];
  for (const [b, p] of probabilities.entries()) {
    const next: Partial[] = [];
    for (const before of front) {
      for (const [choice, cost] of table.perChoice[b]!.entries()) {
        const total = (before?.cost ?? table.fixed) + cost;
        if (total + cheapestRest[b + 1]! > budget * (1 + 1e-12)) continue;
        next.push({ cost: total, logProbability: (before?.logProbability ?? 0) + Math.log(Math.max(p[choice]!, 1e-300)), choice, before });
      }
    }
    front = thin(paretoFront(next));
  }
  const best = front.at(-1);
  if (!best) return null;
  const architecture: number[] = [];
  for (let at: Partial | null = best; at; at = at.before) architecture.unshift(at.choice);
  return costOf(table, architecture) <= budget * (1 + 1e-9) ? architecture : null;
}

/** Ascending cost and strictly ascending log-probability. */
function paretoFront(partials: Partial[]): Partial[] {
  partials.sort((a, b) => a.cost - b.cost || b.logProbability - a.logProbability);
  const front: Partial[] = [];
  for (const partial of partials) {
    const last = front.at(-1);
    if (!last || partial.logProbability > last.logProbability) front.push(partial);
  }
  return front;
}

function thin(front: Partial[]): Partial[] {
  if (front.length <= FRONT_LIMIT) return front;
  const step = (front.length - 1) / (FRONT_LIMIT - 1);
  return Array.from({ length: FRONT_LIMIT }, (_, i) => front[Math.round(i * step)]!);
}
