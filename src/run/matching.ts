/** @file Networks that take as long as a given one, for comparisons at equal cost. Both are timed in turns, in the same minutes. */
import { AppError } from "../errors.ts";
import { buildNetwork } from "../graph/networks/index.ts";
import type { Graph, SampleShape } from "../graph/types.ts";
import type { CpuDevice } from "../hardware/cpu.ts";
import { measureTogether } from "../hardware/measure.ts";
import { untrainedFile } from "../hardware/untrained-file.ts";
import { costOf } from "../nas/costs.ts";
import { type Architecture, sampleArchitecture } from "../space/architecture.ts";
import type { SpaceDescription } from "../space/description.ts";
import { architectureGraph } from "../space/graphs.ts";
import type { Rng } from "../util/rng.ts";
import type { Costs } from "./nas-run.ts";

/** Relative difference within which two latencies count as equal. */
export const LATENCY_TOLERANCE = 0.05;
/** What a candidate is chosen by, narrower: the last measurement must not push it out again. */
const CHOSEN_WITHIN = 0.03;
const DRAWS = 20_000;
const NARROWEST = 0.05;
const WIDEST = 2;
const WIDTH_STEP = 0.01;

export interface Matched<T> {
  readonly network: T;
  readonly graph: Graph;
  /** Its latency over the target's. */
  readonly ratio: number;
}

/** Latency of `graph` over that of `target`, an ONNX file, on `device`. */
async function latencyRatio(graph: Graph, target: string | Uint8Array, device: CpuDevice): Promise<number> {
  const [own, other] = await measureTogether([untrainedFile(graph), target], { threads: device.threads });
  return own! / other!;
}

/**
 * Random architectures of a space that take as long as `target` (an ONNX file).
 * @throws AppError INFEASIBLE when `DRAWS` draws do not give enough
 */
export async function randomNetworksOf(
  space: SpaceDescription,
  costs: Costs,
  device: CpuDevice,
  target: string | Uint8Array,
  wanted: number,
  rng: Rng,
): Promise<Matched<Architecture>[]> {
  const [targetMs] = await measureTogether([target], { threads: device.threads });
  const found: Matched<Architecture>[] = [];
  for (let draw = 0; draw < DRAWS && found.length < wanted; draw++) {
    const network = sampleArchitecture(space, rng);
    if (Math.abs(costOf(costs.table, network) / targetMs! - 1) > LATENCY_TOLERANCE) continue;
    const graph = architectureGraph(space, network);
    const ratio = await latencyRatio(graph, target, device);
    if (Math.abs(ratio - 1) <= CHOSEN_WITHIN) found.push({ network, graph, ratio });
  }
  if (found.length < wanted) {
    throw new AppError(
      "INFEASIBLE",
      `matching: ${wanted} random networks must take ${targetMs!.toFixed(3)} ms ± 3%, got ${found.length} in ${DRAWS} draws`,
    );
  }
  return found;
}

/**
 * MobileNetV2 with the width whose latency is nearest to that of `target` (an ONNX file): widths in steps of 0.01, searched by
 * bisection (widths are rounded to channels of 8, so several widths may be one network).
 */
export async function mobilenetV2Of(
  input: SampleShape,
  classes: number,
  device: CpuDevice,
  target: string | Uint8Array,
): Promise<Matched<string>> {
  const tried = new Map<number, Matched<string>>();
  const at = async (step: number): Promise<Matched<string>> => {
    let known = tried.get(step);
    if (!known) {
      const network = `mobilenet-v2:${(step * WIDTH_STEP).toFixed(2)}`;
      const graph = buildNetwork(network, { input, classes });
      known = { network, graph, ratio: await latencyRatio(graph, target, device) };
      tried.set(step, known);
    }
    return known;
  };
  const narrowest = Math.round(NARROWEST / WIDTH_STEP);
  let [low, high] = [narrowest, Math.round(WIDEST / WIDTH_STEP)];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((await at(middle)).ratio < 1) low = middle;
    else high = middle;
  }
  for (let step = low - 2; step <= high + 2; step++) if (step >= narrowest) await at(step);
  const distance = ({ ratio }: Matched<string>) => Math.abs(ratio - 1);
  return [...tried.values()].reduce((best, one) => (distance(one) < distance(best) ? one : best));
}
