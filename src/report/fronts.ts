/** @file What a run tried, as points of accuracy against each cost that it limited; a run of stages gathers those of its stages. */
import { LIMIT_KINDS, type LimitKind } from "../run/limit-kinds.ts";
import { paretoFront } from "../search/pareto.ts";
import type { Candidate, Front, Point } from "./front-figure.ts";
import type { RunData } from "./run-data.ts";

export interface CostFront extends Front {
  /** As constraints name it. */
  readonly name: string;
  readonly title: string;
}

/** A run that limited nothing searched for what its MACs are worth. */
const UNLIMITED = { name: "macs", unit: "MACs", limit: null, value: Number.NaN } as const;

/** Limits that differ by less are one. */
const SAME = 1e-6;

/** What a figure says of the cost that it is about. */
function labelled(name: string, unit: string, limit: number | null): Pick<CostFront, "name" | "title" | "cost" | "limit"> {
  const title = LIMIT_KINDS[name as LimitKind]?.title ?? name;
  return { name, title, cost: title === unit ? unit : `${title}, ${unit}`, limit };
}
const unbeaten = (points: readonly Point[]): readonly Point[] => paretoFront(points, ({ cost, accuracy }) => [accuracy, -cost]);

function ofOneRun({ card, episodes, policies, frontier, policy }: RunData): CostFront[] {
  if (!card) return [];
  const limits = card.constraints.length > 0 ? card.constraints : [UNLIMITED];
  return limits.map(({ name, unit, limit, value }, i) => {
    const tried = episodes.flatMap(({ accuracy, costs }) => (costs?.[i] === undefined ? [] : [{ cost: costs[i], accuracy }]));
    const trained = (policies?.policies ?? []).flatMap((one): Candidate[] => {
      const cost = one.costs?.[i];
      return cost === undefined ? [] : [{ name: one.name, cost, accuracy: one.tuned?.validation ?? one.validation }];
    });
    const predicted = (frontier?.frontier ?? []).flatMap(({ accuracy, cost, costs }): Point[] => {
      const own = costs ? costs[i] : frontier?.cost === name ? cost : undefined;
      return own === undefined ? [] : [{ accuracy, cost: own }];
    });
    const scored = (frontier?.scored ?? []).flatMap(({ accuracy, costs }): Point[] =>
      costs[i] === undefined ? [] : [{ accuracy, cost: costs[i] }],
    );
    const isPredicted = predicted.length > 0;
    const chosen = isPredicted && policy?.predicted !== undefined ? { name: "chosen", cost: value, accuracy: policy.predicted } : null;
    return { ...labelled(name, unit, limit), tried, scored, trained, chosen, front: unbeaten(isPredicted ? predicted : tried) };
  });
}

/** Points of all stages in one figure for each limit of the run; trained policies are told with their stage. */
function ofStages({ card, stages }: RunData, titleOf: (stage: string) => string): CostFront[] {
  const own = stages.map((stage) => ({ title: titleOf(stage.name), fronts: ofOneRun(stage) }));
  return (card?.constraints ?? []).map(({ name, unit, limit, value }) => {
    const found = own.flatMap(({ title, fronts }) =>
      fronts.filter((front) => front.name === name).map((front) => ({ stage: title.toLowerCase(), front })),
    );
    const tried = found.flatMap(({ front }) => front.tried);
    // a stage that leaves part of the limit to later ones predicts another thing than the run's file
    const alike = found.filter(({ front }) => front.limit !== null && limit !== null && Math.abs(front.limit / limit - 1) < SAME);
    const predicted = alike.flatMap(({ front }) => (front.tried.length === 0 ? front.front : []));
    const scored = alike.flatMap(({ front }) => front.scored);
    const trained = found.flatMap(({ stage, front }) => front.trained.map((one) => ({ ...one, name: `${stage}: ${one.name}` })));
    const chosen = alike.flatMap(({ front }) => (front.chosen ? [{ ...front.chosen, cost: value }] : []))[0] ?? null;
    return { ...labelled(name, unit, limit), tried, scored, trained, chosen, front: unbeaten(tried.length > 0 ? tried : predicted) };
  });
}

/** A figure for each limited cost of which there is more than one point. */
export function frontsOf(data: RunData, titleOf: (stage: string) => string): CostFront[] {
  const fronts = data.stages.length > 0 ? ofStages(data, titleOf) : ofOneRun(data);
  return fronts.filter(({ tried, front, trained }) => tried.length + front.length + trained.length > 1);
}
