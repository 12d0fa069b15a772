/** @file Activation memory of one architecture step as the number of candidates grows, two paths against all. */
import { sampleOne, sampleTwo } from "../src/nas/gates.ts";
import { gateGradients } from "../src/nas/paths.ts";
import { createParameters } from "../src/nn/parameters.ts";
import { runtime } from "../src/onednn/runtime.ts";
import { mobileNetSpace } from "../src/space/description.ts";
import { createSupernet } from "../src/space/graphs.ts";
import { createRng } from "../src/util/rng.ts";

const BATCH = 64;

/** Peak of engine memory in use during a step beyond the parameters, bytes; every block's active candidate is the same. */
function stepBytes(candidates: number, mode: "two" | "full"): number {
  const base = mobileNetSpace({ input: [3, 32, 32], classes: 10 });
  const space = { ...base, zero: false, candidates: Array.from({ length: candidates }, (_, i) => ({ kernel: 3, expand: 3 + i / 100 })) };
  const supernet = createSupernet(space);
  const rng = createRng(0);
  using params = createParameters(supernet.specs, rng);
  const batch = {
    x: new Float32Array(BATCH * 3072).map(() => rng.normal()),
    labels: new Int32Array(BATCH),
    indices: new Int32Array(BATCH),
    size: BATCH,
  };
  const sample = mode === "two" ? sampleTwo : sampleOne;
  const samples = supernet.blocks.map(() => sample(new Float64Array(candidates), rng));
  const { pool } = runtime();
  gateGradients(supernet, params, batch, samples);
  const before = pool.statistics().usedBytes;
  pool.resetPeak();
  gateGradients(supernet, params, batch, samples);
  return pool.statistics().peakBytes - before;
}

export async function run(args: readonly string[]): Promise<void> {
  const rows = [2, 4, 8, 16].map((candidates) => ({
    candidates,
    twoMb: stepBytes(candidates, "two") / 1e6,
    fullMb: stepBytes(candidates, "full") / 1e6,
  }));
  if (args.includes("--json")) console.log(JSON.stringify(rows));
  else console.table(rows);
}
