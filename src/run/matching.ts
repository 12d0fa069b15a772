/** @file Networks of a given measured latency, for comparisons at equal cost. */
import { AppError } from "../errors.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import type { SampleShape, Graph } from "../graph/types.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import { measureTogether } from "../hardware/measure.ts";
import { costOf } from "../nas/costs.ts";
import { type Architecture, sampleArchitecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph } from "../space/graphs.ts";
import type { Rng } from "../util/rng.ts";
import { type Costs, untrainedFile } from "./nas-run.ts";

/** Relative difference within which two latencies count as equal. */
export const LATENCY_TOLERANCE = 0.05;
const DRAWS = 20_000;
const NARROWEST = 0.05;
const WIDEST = 2;
const WIDTH_STEP = 0.01;

export interface Matched<T> {
  readonly network: T;
  readonly graph: Graph;
  readonly measuredMs: number;
}

/**
 * Random architectures of a space whose measured latency is within 5% of `latencyMs`.
 * @throws AppError INFEASIBLE when `DRAWS` draws do not give enough
 */
export async function randomNetworksOf(space: SpaceDescription, costs: Costs, device: CpuDevice, latencyMs: number, wanted: number, rng: Rng): Promise<Matched<Architecture>[]> {
  const found: Matched<Architecture>[] = [];
  for (let draw = 0; draw < DRAWS && found.length < wanted; draw++) {
    const network = sampleArchitecture(space, rng);
    if (Math.abs(costOf(costs.table, network) / latencyMs - 1) > LATENCY_TOLERANCE / 2) continue;
    const graph = architectureGraph(space, network);
    const [measuredMs] = await measureTogether([untrainedFile(graph)], { threads: device.threads });
    if (Math.abs(measuredMs! / latencyMs - 1) <= LATENCY_TOLERANCE) found.push({ network, graph, measuredMs: measuredMs! });
  }
  if (found.length < wanted) throw new AppError("INFEASIBLE", `matching: ${wanted} random networks must take ${latencyMs.toFixed(3)} ms ± 5%, got ${found.length} in ${DRAWS} draws`);
  return found;
}

/**
 * MobileNetV2 with the width whose measured latency is nearest to `latencyMs`: widths in steps of 0.01, searched by bisection
 * (widths are rounded to channels of 8, so several widths may be one network).
 */
export async function mobilenetV2Of(input: SampleShape, classes: number, device: CpuDevice, latencyMs: number): Promise<Matched<string>> {
  const tried = new Map<number, Matched<string>>();
  const at = async (step: number): Promise<Matched<string>> => {
    let known = tried.get(step);
    if (!known) {
      const network = `mobilenet-v2:${(step * WIDTH_STEP).toFixed(2)}`;
      const graph = buildNetwork(network, { input, classes });
      const [measuredMs] = await measureTogether([untrainedFile(graph)], { threads: device.threads });
      known = { network, graph, measuredMs: measuredMs! };
      tried.set(step, known);
    }
    return known;
  };
  let [low, high] = [Math.round(NARROWEST / WIDTH_STEP), Math.round(WIDEST / WIDTH_STEP)];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((await at(middle)).measuredMs < latencyMs) low = middle;
    else high = middle;
  }
  for (const step of [low - 2, low - 1, low, high, high + 1, high + 2]) if (step >= NARROWEST / WIDTH_STEP) await at(step);
  const distance = ({ measuredMs }: Matched<string>) => Math.abs(measuredMs / latencyMs - 1);
  return [...tried.values()].reduce((best, one) => (distance(one) < distance(best) ? one : best));
}
