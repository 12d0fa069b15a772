/** @file The command line as a user runs it, in a folder of its own: real processes, real files. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect } from "vitest";
import { writeClasses } from "../../src/data/fixtures.ts";

export const main = join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");

/** Two classes of photos that differ in colour, 40 each, 16×16. */
export async function writePhotos(folder: string): Promise<void> {
  for (const [name, colour] of [
    ["blue", { r: 30, g: 60, b: 200 }],
    ["red", { r: 200, g: 60, b: 30 }],
  ] as const) {
    await writeClasses(folder, { [name]: 40 }, { width: 16, height: 16, colour });
  }
}

export function programInNewFolder() {
  const dir = mkdtempSync(join(tmpdir(), "fettle-cli-"));
  const env = { ...process.env, XDG_CACHE_HOME: join(dir, "cache") };

  function fettle(...args: string[]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8", cwd: dir, env });
    return { status, stdout, stderr };
  }
  /** Runs the program in folder `out` and kills it as soon as `isReached`. */
  async function killedWhen(flags: readonly string[], out: string, isReached: () => boolean): Promise<void> {
    const child = spawn(process.execPath, [main, ...flags, "--out", out], { cwd: dir, env, stdio: "ignore" });
    const closed = new Promise((resolve) => child.once("close", resolve));
    while (!isReached() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 5));
    child.kill("SIGKILL");
    await closed;
    expect(child.signalCode, `${out} must be killed before it ends`).toBe("SIGKILL");
  }
  /** How many results of a task a run has stored. */
  function stored(out: string, task = "judged policies"): number {
    if (!existsSync(join(dir, out, "run.db"))) return 0;
    const db = new DatabaseSync(join(dir, out, "run.db"), { readOnly: true });
    try {
      return (db.prepare("SELECT count(*) AS n FROM trials WHERE task = ?").get(task) as { n: number }).n;
    } catch {
      return 0; // not made yet
    } finally {
      db.close();
    }
  }
  /** Everything that a run has computed, without times. */
  function trialsOf(out: string): unknown[] {
    const db = new DatabaseSync(join(dir, out, "run.db"), { readOnly: true });
    const rows = db.prepare("SELECT * FROM trials ORDER BY task, number").all();
    db.close();
    return rows;
  }
  function expectSame(a: string, b: string, files: readonly string[]): void {
    for (const file of files) expect(readFileSync(join(dir, a, file)).equals(readFileSync(join(dir, b, file))), file).toBe(true);
    expect(trialsOf(a)).toEqual(trialsOf(b));
  }
  return { dir, env, fettle, killedWhen, stored, expectSame };
}
