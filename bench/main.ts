/** @file `npm run bench -- SUBJECT [options]`: one subject a file, each exports `run(args)`. */
const subjects: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>>> = {
  train: () => import("./train.ts"),
  memory: () => import("./memory.ts"),
  latency: () => import("./latency.ts"),
  amc: () => import("./amc.ts"),
  evolve: () => import("./evolve.ts"),
  "search-memory": () => import("./search-memory.ts"),
};

const [subject = "", ...args] = process.argv.slice(2);
const load = Object.hasOwn(subjects, subject) ? subjects[subject] : undefined;
if (!load) {
  console.error(`bench: expected one of ${Object.keys(subjects).join(", ")}, got "${subject}"`);
  process.exit(2);
}
await (await load()).run(args);
