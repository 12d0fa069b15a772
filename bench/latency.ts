/** @file How well the table of operators predicts whole networks on this CPU. */
import { paramSpecs } from "../src/graph/params.ts";
import { openCpu } from "../src/hardware/cpu.ts";
import { measureTogether } from "../src/hardware/measure.ts";
import { costGraphs } from "../src/nas/cost-tables.ts";
import { costOf } from "../src/nas/costs.ts";
import { createParameters, exportWeights } from "../src/nn/parameters.ts";
import { exportOnnx } from "../src/onnx/export.ts";
import { collectCosts } from "../src/run/nas-run.ts";
import { sampleArchitecture, summarise } from "../src/space/architecture.ts";
import { mobileNetSpace } from "../src/space/description.ts";
import { architectureGraph } from "../src/space/graphs.ts";
import { createRng } from "../src/util/rng.ts";
import { median, spearman } from "../src/util/statistics.ts";

const NETWORKS = 30;

export async function run(args: readonly string[]): Promise<void> {
  const space = mobileNetSpace({ input: [3, 32, 32], classes: 10 });
  const rng = createRng(7);
  const device = await openCpu({ cacheDir: args.find((arg) => arg.startsWith("--cache="))?.slice(8) ?? "runs/bench-latency" });
  const { fixed, choices } = costGraphs(space);
  await device.prepare([...fixed, ...choices.flat().filter((graph) => graph !== null)]);
  const { table, calibration } = await collectCosts(space, "latency", device);
  const architectures = Array.from({ length: NETWORKS }, () => sampleArchitecture(space, rng));
  const files = architectures.map((architecture) => {
    const graph = architectureGraph(space, architecture);
    using params = createParameters(paramSpecs(graph), rng);
    return exportOnnx({ graph, weights: exportWeights(params) }, { batch: 1 });
  });
  const measuredMs = await measureTogether(files);
  const predictedMs = architectures.map((architecture) => costOf(table, architecture));
  const errors = measuredMs.map((ms, i) => Math.abs(predictedMs[i]! - ms) / ms);
  const bias = median(measuredMs.map((ms, i) => predictedMs[i]! / ms)) - 1;
  const result = {
    networks: NETWORKS,
    calibration,
    spearman: spearman(predictedMs, measuredMs),
    medianError: median(errors),
    maxError: Math.max(...errors),
    medianBias: bias,
  };
  if (args.includes("--json")) console.log(JSON.stringify(result));
  else {
    for (const [i, ms] of measuredMs.entries())
      console.log(`${ms.toFixed(3)} ms measured, ${predictedMs[i]!.toFixed(3)} ms predicted  ${summarise(space, architectures[i]!)}`);
    console.log(result);
  }
}
if (import.meta.main) await run(process.argv.slice(2));
