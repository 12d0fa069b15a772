/** @file Training speed, beside PyTorch in the same run where Debian's python3-torch is installed. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runtime } from "../src/onednn/runtime.ts";
import { median } from "../src/util/statistics.ts";
import { createStep, SUBJECTS } from "./train-step.ts";

const PYTHON = "/usr/bin/python3";
const THREADS = 2;
const ROUNDS = 7;
const STEPS = 6;

interface Row {
  readonly network: string;
  readonly imagesPerSecond: number;
  readonly pytorchImagesPerSecond: number | null;
  readonly ratio: number | null;
}

/** A Python process that trains on demand: one line in, the milliseconds of each step out. */
function startPyTorch(network: string, batch: number, isChannelsLast: boolean) {
  const args = [
    join(import.meta.dirname, "pytorch_step.py"),
    network,
    String(batch),
    isChannelsLast ? "channels_last" : "contiguous",
    String(THREADS),
  ];
  const child: ChildProcessWithoutNullStreams = spawn(PYTHON, args);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    steps: async (count: number): Promise<number[]> => {
      child.stdin.write(`${count}\n`);
      const { value } = await lines.next();
      return JSON.parse(value as string) as number[];
    },
    stop: () => child.kill(),
  };
}

/** Why PyTorch is not compared, or null. */
function pyTorchProblem(): string | null {
  if (!existsSync(PYTHON)) return `${PYTHON} does not exist`;
  return spawnSync(PYTHON, ["-c", "import torch"]).status === 0 ? null : "python3-torch is not installed (with libopenblas0-pthread)";
}

/** Rounds alternate between the engines, so that a slow phase of the machine hits all of them; medians over all steps. */
async function compare(network: string, batch: number, withPyTorch: boolean): Promise<Row> {
  const step = createStep(network, batch);
  const peers = withPyTorch ? [startPyTorch(network, batch, false), startPyTorch(network, batch, true)] : [];
  const ours: number[] = [];
  const theirs: number[][] = peers.map(() => []);
  for (let i = 0; i < 4; i++) step();
  for (const peer of peers) await peer.steps(3);
  for (let round = 0; round < ROUNDS; round++) {
    step(); // wakes caches and threads up again
    for (let i = 0; i < STEPS; i++) {
      const start = performance.now();
      step();
      ours.push(performance.now() - start);
    }
    for (const [i, peer] of peers.entries()) theirs[i]!.push(...(await peer.steps(STEPS)));
  }
  for (const peer of peers) peer.stop();
  const imagesPerSecond = (1000 * batch) / median(ours);
  const best = peers.length > 0 ? Math.max(...theirs.map((times) => (1000 * batch) / median(times))) : null;
  const round = (value: number) => Math.round(value * 10) / 10;
  return {
    network,
    imagesPerSecond: round(imagesPerSecond),
    pytorchImagesPerSecond: best && round(best),
    ratio: best && Math.round((100 * imagesPerSecond) / best) / 100,
  };
}

export async function run(args: readonly string[]): Promise<void> {
  const problem = pyTorchProblem();
  if (problem) console.error(`bench: not compared with PyTorch: ${problem}`);
  runtime().setThreads(THREADS);
  const rows: Row[] = [];
  for (const { network, batch } of SUBJECTS) rows.push(await compare(network, batch, problem === null));
  if (args.includes("--json")) console.log(JSON.stringify(rows, null, 2));
  else console.table(rows);
}
