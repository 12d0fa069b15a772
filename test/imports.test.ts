/** @file The house rules that a reader of imports and lines can check. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const src = join(root, "src");
/** A folder may import only folders before it, and itself. */
const FOLDERS = [
  "errors.ts",
  "util",
  "onednn",
  "tensor",
  "graph",
  "onnx",
  "nn",
  "data",
  "train",
  "hardware",
  "contracts",
  "space",
  "search",
  "rl",
  "nas",
  "prune",
  "quantize",
  "joint",
  "run",
  "report",
  "pipeline",
  "cli",
  "index.ts",
];

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
  .map((file) => ({ file, text: readFileSync(join(src, file), "utf8") }));
const folderOf = (file: string) => file.split("/")[0]!;
/** The code without comments and strings' doubtful cases: enough to look for names. */
const code = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
const importsOf = ({ file, text }: { file: string; text: string }) =>
  [...code(text).matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(([, path]) => relative(src, join(src, dirname(file), path!)));

test("every folder is one of the house's", () => {
  expect([...new Set(files.map(({ file }) => folderOf(file)))].filter((folder) => !FOLDERS.includes(folder))).toEqual([]);
});

test("a folder imports only folders above it", () => {
  const upward = files.flatMap((one) =>
    importsOf(one)
      .filter((path) => FOLDERS.indexOf(folderOf(path)) > FOLDERS.indexOf(folderOf(one.file)))
      .map((path) => `${one.file} → ${path}`),
  );
  // package.json is read for versions
  expect(upward.filter((line) => !line.includes(".."))).toEqual([]);
});

test("no import cycles between files", () => {
  const graph = new Map(files.map((one) => [one.file, importsOf(one)]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]) => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    if (done.has(file) || path.includes(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  // types alone may refer back to who registers a command
  expect(cycles.filter((cycle) => !cycle.includes("cli/main.ts"))).toEqual([]);
});

describe("what belongs in one place only", () => {
  const uses = (pattern: RegExp, ...allowed: string[]) =>
    files
      .filter(({ file, text }) => pattern.test(code(text)) && !allowed.some((prefix) => file.startsWith(prefix)))
      .map(({ file }) => file);
  test("time and chance are arguments", () =>
    expect(uses(/Math\.random|Date\.now|new Date\(|performance\.now/, "util/clock.ts")).toEqual([]));
  test("printing is the command line's", () => expect(uses(/console\.|process\.(stdout|stderr)/, "cli/")).toEqual([]));
  // a conda environment is found through its variable alone, and so is ONNX Runtime told to send nothing
  test("environment variables are the command line's", () =>
    expect(uses(/process\.env/, "cli/", "onednn/library.ts", "onnx/no-telemetry.ts")).toEqual([]));
  test("exits are the command line's", () => expect(uses(/process\.exit/, "cli/")).toEqual([]));
});

test("no file is longer than 400 lines", () => {
  expect(files.filter(({ text }) => text.split("\n").length > 400).map(({ file }) => file)).toEqual([]);
});

test("every file says what it is", () => {
  expect(files.filter(({ text }) => !text.startsWith("/**\n * @file") && !text.startsWith("/** @file")).map(({ file }) => file)).toEqual(
    [],
  );
});
