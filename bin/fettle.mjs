#!/usr/bin/env node
// Starts the command line under Node 24: this one if it is new enough, else the one that npm installed beside the package.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const main = join(import.meta.dirname, "..", "src", "cli", "main.ts");
const local = join(import.meta.dirname, "..", "node_modules", ".bin", "node");
const isNew = Number(process.versions.node.split(".")[0]) >= 24;

if (isNew) {
  const { main: run } = await import(main);
  process.exit(await run(process.argv.slice(2)));
} else if (!existsSync(local)) {
  console.error(`fettle: Node 24 or newer must run it, got ${process.versions.node} — run \`npm run setup\``);
  process.exit(1);
} else {
  const child = spawn(local, [main, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal)); // a doubled Ctrl-C counts once
  child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}
