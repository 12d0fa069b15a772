/** @file Stages of a run, each in a folder of its own: what is done is not done again, what was begun is gone on with. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { RunFolder } from "../run/folder.ts";
import { STAGE_NAMES, type StageName } from "../run/stage-names.ts";
import type { Deadline } from "./deadline.ts";

export interface StageAt {
  readonly dir: string;
  /** Whether there is something to go on with. */
  readonly resume: boolean;
}
export interface StagesOptions {
  readonly folder: RunFolder;
  readonly deadline: Deadline;
  readonly resume: boolean;
  /** Of the user: a stage that it ends is not done. */
  readonly signal?: AbortSignal;
  /** A stage that was not done before begins. */
  readonly onStage: (name: StageName, dir: string) => void;
}

export interface Stages {
  /** Runs a stage, or gives what it gave before. Results are kept as JSON. */
  run<T>(name: StageName, work: (at: StageAt) => Promise<T>): Promise<T>;
  /** What is decided once and kept, such as a plan from measured times. */
  once<T>(name: string, decide: () => Promise<T>): Promise<T>;
  dirOf(name: StageName): string;
  /** Those that left something, in order. */
  begun(): readonly StageName[];
}

interface Kept {
  readonly name: string;
  readonly result: unknown;
}

export function createStages({ folder, deadline, resume, signal, onStage }: StagesOptions): Stages {
  const journal = folder.journal<Kept>("stages", resume);
  const decisions = folder.journal<Kept>("decisions", resume);
  const [results, decided] = [journal, decisions].map(({ entries }) => new Map(entries.map(({ name, result }) => [name, result])));
  const isBegun = (name: StageName) => existsSync(join(folder.path(name), "config.json"));
  return {
    run: async <T>(name: StageName, work: (at: StageAt) => Promise<T>): Promise<T> => {
      if (results!.has(name)) return results!.get(name) as T;
      const dir = folder.path(name);
      onStage(name, dir);
      folder.log({ type: "stage", name });
      const result = await work({ dir, resume: resume && isBegun(name) }).finally(() => deadline.note());
      if (signal?.aborted) return result;
      journal.append({ name, result });
      results!.set(name, result);
      rmSync(join(dir, "checkpoints"), { recursive: true, force: true });
      return result;
    },
    once: async <T>(name: string, decide: () => Promise<T>): Promise<T> => {
      if (decided!.has(name)) return decided!.get(name) as T;
      const result = await decide();
      if (signal?.aborted) return result;
      decisions.append({ name, result });
      decided!.set(name, result);
      return result;
    },
    dirOf: (name) => folder.path(name),
    begun: () => STAGE_NAMES.filter(isBegun),
  };
}
