/** @file Resident memory over 2,000 training steps: it must not grow. */
import { createStep } from "./train-step.ts";

const EARLY = 200;
const LATE = 2000;
const BATCH = 32;

export async function run(args: readonly string[]): Promise<void> {
  const step = createStep("mbconv-bench", BATCH);
  const residentMb = () => Math.round(process.memoryUsage().rss / 1e5) / 10;
  let early = 0;
  for (let i = 1; i <= LATE; i++) {
    step();
    if (i === EARLY) early = residentMb();
    // Batches arrive asynchronously in a training; without a turn of the event loop finalizers never run.
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const late = residentMb();
  const result = {
    network: "mbconv-bench",
    batch: BATCH,
    [`residentMbAfter${EARLY}`]: early,
    [`residentMbAfter${LATE}`]: late,
    growth: Math.round((1e4 * (late - early)) / early) / 1e4,
  };
  if (args.includes("--json")) console.log(JSON.stringify(result));
  else console.log(result);
}
