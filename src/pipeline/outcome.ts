/** @file What a run of several stages gives: the last stage's model, with every limit of the run told. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isCpu } from "../hardware/kinds.ts";
import { timedAgain } from "../hardware/measure.ts";
import type { Card, Constraint } from "../run/card.ts";
import type { RunFolder } from "../run/folder.ts";
import { constraintOf } from "../run/limit-kinds.ts";
import type { PruneDevice } from "../run/prune-limits.ts";
import type { AbsoluteLimit, Route, StageOutcome } from "./settings.ts";

/** A limit and what the run's file comes to: measured where it can be, else counted, else what the stage that met it estimated. */
function told({ kind, limit, now }: AbsoluteLimit, card: Card, outcomes: readonly StageOutcome[], device: PruneDevice): Constraint {
  if (kind === "size") return constraintOf(kind, limit, card.fileBytes, "measured");
  if (kind === "macs") return constraintOf(kind, limit, card.macs, "counted");
  if (kind === "peakMemory") return constraintOf(kind, limit, card.peakActivationBytes, "counted");
  if (kind === "bitops") return constraintOf(kind, limit, card.bitOps ?? 32 * 32 * card.macs, "counted");
  if (kind === "latency" && isCpu(device)) return constraintOf(kind, limit, card.latency.p50Ms, "measured");
  const estimate = outcomes.toReversed().flatMap(({ constraints }) => constraints.filter(({ name }) => name === kind))[0];
  return constraintOf(kind, limit, estimate?.value ?? now ?? Number.NaN, "estimated");
}

/** The card with its file timed again where it is over a limit of latency on this CPU that its own stage did not know of. */
export async function timedForLimits(card: Card, path: string, costs: readonly AbsoluteLimit[], device: PruneDevice): Promise<Card> {
  const latency = costs.find(({ kind }) => kind === "latency");
  if (!latency || !isCpu(device)) return card;
  const timed = await timedAgain(path, card.latency, ({ p50Ms }) => p50Ms > latency.limit, { threads: card.latency.threads });
  return { ...card, latency: { ...card.latency, ...timed } };
}

/** Every limit of the run, in the order asked; after an interruption without those that nothing is known of yet. */
export function constraintsOf({ costs, outcomes }: Route, card: Card, accuracyDrop: number | null, device: PruneDevice): Constraint[] {
  const constraints = costs.map((limit) => told(limit, card, outcomes, device)).filter(({ value }) => !Number.isNaN(value));
  if (accuracyDrop === null) return constraints;
  // both are shares of the same images: what binary fractions add is no loss
  const lost = Number((100 * ((outcomes[0]?.originalTest ?? card.accuracy.test) - card.accuracy.test)).toFixed(9));
  return [...constraints, constraintOf("accuracyDrop", accuracyDrop, lost, "measured")];
}

/** Files of a stage that are the run's own. */
const KEPT = ["model.onnx", "policy.json", "layers.json", "frontier.json", "weights.safetensors"] as const;

/** Gives the run's folder the model of its last stage and nothing of an earlier one, and the card with every limit. */
export function keepOutcome(folder: RunFolder, dir: string, card: Card, constraints: readonly Constraint[]): Card {
  if (dir !== folder.dir)
    for (const name of KEPT) {
      const path = join(dir, name);
      if (existsSync(path)) folder.writeBytes(name, readFileSync(path));
      else rmSync(folder.path(name), { force: true });
    }
  const own = { ...card, constraints };
  folder.writeJson("card.json", own);
  return own;
}
