/** @file Episodes of a search for a policy: judgements kept in the run's folder, so that a run that is gone on with need not ask again; events; progress. */
import { type EpisodeReport, type Evaluated, type Judgement, policyKey } from "../rl/policy-search.ts";
import { systemClock } from "../util/clock.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createProgress } from "../util/progress.ts";
import { formatPercent } from "../util/units.ts";
import type { CompressionOptions } from "./compression-steps.ts";
import type { RunFolder } from "./folder.ts";

interface EpisodesOptions extends Pick<CompressionOptions, "episodes" | "resume" | "clock" | "onProgress"> {
  readonly folder: RunFolder;
  readonly judge: (decisions: readonly number[]) => Judgement;
  readonly costsOf: (decisions: readonly number[]) => readonly number[];
  /** What is found so far is to be written down. */
  readonly onBest: (best: EpisodeReport) => void;
}

export interface Judged extends Judgement {
  readonly decisions: readonly number[];
}

export interface Episodes {
  /** By `policyKey`, of an interrupted run too. */
  readonly known: ReadonlyMap<string, Judgement>;
  /** As `judge`, asked once for each policy. */
  judged(decisions: readonly number[]): Judged;
  /** Every policy that was judged, in their order. */
  all(): readonly Judged[];
  onEpisode(report: EpisodeReport): Promise<void>;
}

export function openEpisodes({ folder, judge, costsOf, onBest, ...options }: EpisodesOptions): Episodes {
  const { episodes, resume, onProgress, clock = systemClock } = options;
  const journal = folder.journal<Judged>("judged policies", resume === true);
  const all = [...journal.entries];
  const known = new Map(all.map((one) => [policyKey(one.decisions), one]));
  const progress = createProgress("searching", episodes, clock, onProgress);
  let best: Evaluated | null = null;
  return {
    known,
    judged: (decisions) => {
      const before = known.get(policyKey(decisions));
      if (before) return before;
      const one: Judged = { decisions, ...judge(decisions) };
      journal.append(one);
      all.push(one);
      known.set(policyKey(decisions), one);
      return one;
    },
    all: () => all,
    onEpisode: async (event) => {
      folder.log({ type: "episode", ...event, costs: costsOf(event.decisions) });
      if (event.isBest) best = event;
      if (event.isBest && event.isNew) onBest(event);
      progress(event.episode + 1, `best ${formatPercent(best!.accuracy)}, last ${formatPercent(event.accuracy)}`);
      await turnOfOthers();
    },
  };
}
