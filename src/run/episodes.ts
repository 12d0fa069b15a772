/** @file Episodes of a search for a policy: accuracies kept in the run's folder, so that a run that is gone on with need not ask again; events; progress. */
import { type EpisodeReport, type Evaluated, policyKey } from "../rl/policy-search.ts";
import { systemClock } from "../util/clock.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createProgress } from "../util/progress.ts";
import { formatPercent } from "../util/units.ts";
import type { CompressionOptions } from "./compression-steps.ts";
import type { RunFolder } from "./folder.ts";

interface EpisodesOptions extends Pick<CompressionOptions, "episodes" | "resume" | "clock" | "onProgress"> {
  readonly folder: RunFolder;
  /** Accuracy of a policy on validation images, 0…1. */
  readonly judge: (decisions: readonly number[]) => number;
  readonly costsOf: (decisions: readonly number[]) => readonly number[];
  /** What is found so far is to be written down. */
  readonly onBest: (best: EpisodeReport) => void;
}

interface Judged {
  readonly decisions: readonly number[];
  /** 0…1. */
  readonly accuracy: number;
}

export interface Episodes {
  /** Accuracies by `policyKey`, of an interrupted run too. */
  readonly known: ReadonlyMap<string, number>;
  /** As `judge`, asked once for each policy. */
  accuracyOf(decisions: readonly number[]): number;
  /** Every policy that was judged, in their order. */
  all(): readonly Judged[];
  onEpisode(report: EpisodeReport): Promise<void>;
}

export function openEpisodes({ folder, judge, costsOf, onBest, ...options }: EpisodesOptions): Episodes {
  const { episodes, resume, onProgress, clock = systemClock } = options;
  const journal = folder.journal<Judged>("judged policies", resume === true);
  const judged = [...journal.entries];
  const known = new Map(judged.map(({ decisions, accuracy }) => [policyKey(decisions), accuracy]));
  const progress = createProgress("searching", episodes, clock, onProgress);
  let best: Evaluated | null = null;
  return {
    known,
    accuracyOf: (decisions) => {
      const before = known.get(policyKey(decisions));
      if (before !== undefined) return before;
      const one: Judged = { decisions, accuracy: judge(decisions) };
      journal.append(one);
      judged.push(one);
      known.set(policyKey(decisions), one.accuracy);
      return one.accuracy;
    },
    all: () => judged,
    onEpisode: async (event) => {
      folder.log({ type: "episode", ...event, costs: costsOf(event.decisions) });
      if (event.isBest) best = event;
      if (event.isBest && event.isNew) onBest(event);
      progress(event.episode + 1, `best ${formatPercent(best!.accuracy)}, last ${formatPercent(event.accuracy)}`);
      await turnOfOthers();
    },
  };
}
