/** @file What the evidence scripts share: `fettle` commands whose results are kept, so that a script goes on where it stopped; Markdown rows. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { writeFileAtomic } from "../../src/util/files.ts";

/**
 * Runs `fettle … --json --out DIR/NAME` (`isRun`, gone on with where begun) or without `--out`, and gives what it prints; null where it
 * prints nothing, as when a limit cannot be met and that is accepted: `reasonOf` says why. A result that the same command left in DIR/NAME.json is read instead.
 */
export type RunStep = <T>(
  name: string,
  args: readonly string[],
  options?: { readonly isRun?: boolean; readonly accepted?: readonly number[] },
) => T;

/** Ends the script: what it was to do would not be what it was asked. */
class Stopped extends Error {}

const runFlags = (dir: string) => ["--out", dir, ...(existsSync(join(dir, "config.json")) ? ["--resume"] : [])];

export interface Steps {
  readonly fettle: RunStep;
  readonly folderOf: (name: string) => string;
  /** What the command of a step wrote beside its result. */
  readonly reasonOf: (name: string) => string;
}

/** Steps kept in a folder. A step throws when its command ends with an exit code that is not accepted (0 alone by default). */
export function stepsIn(dir: string): Steps {
  const folderOf = (name: string) => join(dir, name);
  const reasonOf = (name: string): string => JSON.parse(readFileSync(`${folderOf(name)}.json`, "utf8")).messages.trim();
  const fettle: RunStep = (name, args, { isRun = true, accepted = [0] } = {}) => {
    const path = `${folderOf(name)}.json`;
    if (existsSync(path)) {
      const kept = JSON.parse(readFileSync(path, "utf8"));
      if (isDeepStrictEqual(kept.args, args)) return kept.result;
      throw new Stopped(
        `${path} must be the result of fettle ${args.join(" ")}, got that of fettle ${kept.args?.join(" ")}: give another --out`,
      );
    }
    const started = performance.now();
    const command = ["src/cli/main.ts", ...args, "--json", ...(isRun ? runFlags(folderOf(name)) : [])];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8", maxBuffer: 2 ** 28 });
    if (status === null || !accepted.includes(status)) throw new Error(`fettle ${args.join(" ")}: exit code ${status}\n${stderr}`);
    const result = stdout.trim() === "" ? null : JSON.parse(stdout);
    if (result?.isCancelled) throw new Stopped(`${name}: interrupted; started again, it goes on`);
    writeFileAtomic(path, JSON.stringify({ args, result, messages: stderr }));
    console.error(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
    return result;
  };
  return { fettle, folderOf, reasonOf };
}

/** Makes rows of a table; what fails is told on stderr, and the others are made all the same. */
export function attempt(what: string, make: () => void): void {
  try {
    make();
  } catch (error) {
    if (error instanceof Stopped) throw error;
    process.exitCode = 1;
    console.error(`${what} failed: ${(error as Error).message}`);
  }
}

export const percent = (ratio: number | null | undefined): string => (ratio == null ? "-" : `${(100 * ratio).toFixed(2)}%`);

export const row = (...cells: readonly string[]): void => console.log(`| ${cells.join(" | ")} |`);

export function header(...cells: readonly string[]): void {
  row(...cells);
  row(...cells.map(() => "---"));
}
