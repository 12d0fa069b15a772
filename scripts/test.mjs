/** @file `npm test`: types, lint, tests, each with its time; stops at the first failure. Extra arguments go to vitest. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const bin = (name) => join(root, "node_modules", ".bin", name);
const isEverything = process.env.CI === "true" || process.argv.includes("--all");
const extra = process.argv.slice(2).filter((arg) => arg !== "--all");

const steps = [
  ["types", bin("tsc"), ["--noEmit"]],
  ["lint", bin("biome"), ["check", "--error-on-warnings", "."]],
  ...(isEverything ? [["engine against the other oneDNN generation", "bash", [join(root, "scripts", "test-other-onednn.sh")]]] : []),
  ["tests", bin("vitest"), ["run", ...extra]],
];
for (const [name, command, args] of steps) {
  console.log(`\n== ${name}`);
  const started = performance.now();
  // The engine's threads wait by spinning; test files run side by side, so each gets one.
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, OMP_NUM_THREADS: "1" } });
  console.log(`== ${name}: ${status === 0 ? "ok" : "FAILED"} in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  if (status !== 0) process.exit(status ?? 1);
}
