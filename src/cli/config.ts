/** @file What a run is begun with, as its config.json has it. */

/** Flags that say how to begin, not what is run. */
const OF_THE_BEGINNING = ["--overwrite", "--dry-run", "--resume"];

/** The resolved configuration, and the command line by which `fettle resume` goes on. */
export const configOf = <T extends Readonly<Record<string, unknown>>>(argv: readonly string[], command: string, fields: T) => ({
  command,
  ...fields,
  argv: argv.filter((word) => !OF_THE_BEGINNING.includes(word)),
});
