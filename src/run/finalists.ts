/** @file The end of a run that makes a model smaller: every policy is trained alike, and the best of them becomes the run's model. */
import { existsSync } from "node:fs";
import { AppError } from "../errors.ts";
import type { Graph } from "../graph/types.ts";
import { exportWeights, importWeights, type ParameterStore } from "../nn/parameters.ts";
import type { Recipe } from "../train/recipe.ts";
import type { Projections } from "../train/shadow.ts";
import { formatPercent } from "../util/units.ts";
import type { Card } from "./card.ts";
import { accuracyOn, type FineTuneOptions, type FineTuning, fineTune, removeCheckpoints } from "./compression-steps.ts";
import type { RunFolder } from "./folder.ts";

export interface Finalist<Name extends string> {
  readonly name: Name;
  /** The policy as the search writes it. */
  readonly decisions: readonly number[];
}

/** 0…1. */
export interface Accuracies {
  readonly validation: number;
  readonly test: number;
}
export interface Outcome<Name extends string> extends Finalist<Name>, Accuracies {
  /** After fine-tuning; null when there was none. */
  readonly tuned: Accuracies | null;
}

export interface Network {
  readonly graph: Graph;
  readonly params: ParameterStore;
  readonly projections?: Projections;
}

export interface Contest<Name extends string, N extends Network> {
  /** The found policy first. */
  readonly finalists: readonly Finalist<Name>[];
  readonly teacher: FineTuning["teacher"];
  readonly folder: RunFolder;
  /** The network of a policy before training, to be disposed of. */
  open(decisions: readonly number[]): N & Disposable;
  /** Writes it as model.onnx, with its card and policy. */
  deploy(finalist: Finalist<Name>, network: N): Promise<Card>;
  onOutcome(outcomes: readonly Outcome<Name>[]): void;
}

const DEPLOYED = ["model.onnx", "card.json", "policy.json", "layers.json"] as const;
const areMet = ({ constraints }: Card): boolean => constraints.every(({ isMet }) => isMet);

/**
 * Trains the finalists and deploys the one of the highest validation accuracy: the found policy at once, another only if it is better
 * and its file meets the limits too. Training that lost accuracy, or diverged, is taken back.
 */
export async function contest<Name extends string, N extends Network>(
  options: FineTuneOptions,
  { finalists, teacher, folder, open, deploy, onOutcome }: Contest<Name, N>,
) {
  const { data, distillation, signal, until, onNote = () => {} } = options;
  const measure = ({ graph, params }: Network): Accuracies => ({
    validation: accuracyOn(graph, params, data, "validation"),
    test: accuracyOn(graph, params, data, "test"),
  });
  const outcomes: Outcome<Name>[] = [];
  let best: { readonly card: Card; readonly name: Name; readonly validation: number } | null = null;
  let isCancelled = signal?.aborted === true;
  let recipe: Recipe | null = null;
  for (const finalist of finalists) {
    const { name, decisions } = finalist;
    using network = open(decisions);
    const before = measure(network);
    onNote(`${name}: before fine-tuning validation ${formatPercent(before.validation)}`);
    let tuned: Accuracies | null = null;
    if (options.recipe.epochs > 0 && !isCancelled && !until?.aborted) {
      const untrained = exportWeights(network.params);
      const trained = { ...network, teacher: distillation ? teacher : null };
      recipe ??= (await options.recipeFor?.(trained, finalists.length, options.recipe)) ?? options.recipe;
      try {
        const outcome = await fineTune({ ...options, recipe }, { ...network, teacher, name, decisions, folder });
        isCancelled ||= outcome.isCancelled && signal?.aborted === true;
        tuned = measure(network);
        onNote(`${name}: after fine-tuning validation ${formatPercent(tuned.validation)}, test ${formatPercent(tuned.test)}`);
      } catch (error) {
        if (!(error instanceof AppError && error.code === "DIVERGED")) throw error;
        onNote(`${name}: ${error.message}`);
      }
      if (!tuned || tuned.validation < before.validation) {
        importWeights(network.params, untrained);
        onNote(`${name}: training did not make it better, the weights from before it are kept`);
      }
    }
    outcomes.push({ name, decisions, ...before, tuned });
    onOutcome(outcomes);
    const validation = Math.max(before.validation, tuned?.validation ?? 0);
    if (best && validation <= best.validation) continue;
    const previous =
      best && DEPLOYED.filter((file) => existsSync(folder.path(file))).map((file) => [file, folder.readBytes(file)] as const);
    const card = await deploy(finalist, network);
    if (best && areMet(best.card) && !areMet(card)) {
      for (const [file, bytes] of previous!) folder.writeBytes(file, bytes);
      onNote(`${name}: better than ${best.name} on validation images, but its file misses the limit`);
    } else best = { card, name, validation };
  }
  // a run of several stages has not kept what an interrupted one gave
  if (!signal?.aborted) removeCheckpoints(folder);
  return { outcomes, card: best!.card, chosen: best!.name, isCancelled };
}
