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
  /** What the search had judged, by `policyKey`, of an interrupted run too. */
  readonly known: ReadonlyMap<string, Judgement>;
  /** As `judge`, asked once for each policy. */
  judged(decisions: readonly number[]): Judged;
  /** The same for policies that the search has not come by: known, they would be its find when the run is gone on with. */
  judgedBeside(decisions: readonly number[]): Judged;
  /** undefined for a policy that was not judged. */
  accuracyOf(decisions: readonly number[]): number | undefined;
  /** Every policy that was judged: the search's in their order, then the others. */
  all(): readonly Judged[];
  onEpisode(report: EpisodeReport): Promise<void>;
}

export function openEpisodes({ folder, judge, costsOf, onBest, ...options }: EpisodesOptions): Episodes {
  const { episodes, resume, onProgress, clock = systemClock } = options;
  const opened = (task: string) => {
    const journal = folder.journal<Judged>(task, resume === true);
    return { journal, known: new Map(journal.entries.map((one) => [policyKey(one.decisions), one])) };
  };
  const [search, beside] = [opened("judged policies"), opened("judged beside the search")];
  const before = (decisions: readonly number[]) => search.known.get(policyKey(decisions)) ?? beside.known.get(policyKey(decisions));
  const judgedFor = ({ journal, known }: typeof search, decisions: readonly number[]): Judged => {
    const one = before(decisions) ?? { decisions, ...judge(decisions) };
    if (!known.has(policyKey(decisions))) journal.append(one);
    known.set(policyKey(decisions), one);
    return one;
  };
  const progress = createProgress("searching", episodes, clock, onProgress);
  let best: Evaluated | null = null;
  return {
    known: search.known,
    judged: (decisions) => judgedFor(search, decisions),
    judgedBeside: (decisions) => before(decisions) ?? judgedFor(beside, decisions),
    accuracyOf: (decisions) => before(decisions)?.accuracy,
    all: () => [...search.known.values(), ...[...beside.known].filter(([key]) => !search.known.has(key)).map(([, one]) => one)],
    onEpisode: async (event) => {
      folder.log({ type: "episode", ...event, costs: costsOf(event.decisions) });
      if (event.isBest) best = event;
      if (event.isBest && event.isNew) onBest(event);
      progress(event.episode + 1, `best ${formatPercent(best!.accuracy)}, last ${formatPercent(event.accuracy)}`);
      await turnOfOthers();
    },
  };
}
