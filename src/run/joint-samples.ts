/** @file Accuracies of sub-nets, each measured once and kept. */

import type { AccuracySample } from "../joint/predictor.ts";
import type { Genome } from "../space/genome.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { turnOfOthers } from "../util/event-loop.ts";
import { createProgress, type OnProgress } from "../util/progress.ts";
import { formatPercent } from "../util/units.ts";
import type { RunFolder } from "./folder.ts";

export interface Sampling {
  /** Of the kind of samples. */
  readonly name: string;
  readonly genomes: readonly Genome[];
  readonly measure: (genome: Genome) => number;
}

export interface SamplingOptions {
  readonly resume?: boolean;
  readonly signal?: AbortSignal;
  /** From then on no more samples are measured than predictors need at least. */
  readonly timeUp?: AbortSignal;
  readonly onProgress?: OnProgress;
  readonly clock?: Clock;
}

const FEWEST_SAMPLES = 20;

/** Under which the samples of a kind are stored. */
const sampleTask = (name: string): string => `${name} samples`;

/** Accuracies of genomes, one after the other; those in the journal are not measured again. Fewer when interrupted. */
export async function measureSamples(
  { name, genomes, measure }: Sampling,
  folder: RunFolder,
  options: SamplingOptions,
): Promise<AccuracySample[]> {
  const { resume, signal, timeUp, onProgress, clock = systemClock } = options;
  const journal = folder.journal<{ genome: number[]; accuracy: number }>(sampleTask(name), resume === true);
  // with another count other genomes are drawn: what was measured for the first count stays
  const samples = journal.entries
    .slice(0, genomes.length)
    .map(({ genome, accuracy }): AccuracySample => ({ genome: Uint8Array.from(genome), accuracy }));
  const report = createProgress(`measuring ${name} sub-nets`, genomes.length - samples.length, clock, onProgress);
  const known = samples.length;
  const counts = new Map<string, number>();
  for (const { genome } of samples) counts.set(genome.join(), (counts.get(genome.join()) ?? 0) + 1);
  for (const genome of genomes) {
    const before = counts.get(genome.join()) ?? 0;
    if (before > 0) {
      counts.set(genome.join(), before - 1);
      continue;
    }
    if (samples.length === genomes.length) break;
    if (signal?.aborted || (timeUp?.aborted && samples.length >= FEWEST_SAMPLES)) break;
    const accuracy = measure(genome);
    journal.append({ genome: [...genome], accuracy });
    samples.push({ genome, accuracy });
    report(samples.length - known, `last ${formatPercent(accuracy)}`);
    await turnOfOthers();
  }
  return samples;
}
