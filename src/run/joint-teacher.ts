/** @file The largest network of a supernet, which sub-nets learn from. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { DataSplits } from "../data/types.ts";
import type { Graph } from "../graph/types.ts";
import { extractCalibrated } from "../joint/extract.ts";
import { loadSupernet } from "../joint/train-supernet.ts";
import type { ParameterStore } from "../nn/parameters.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { largestSubnet } from "../space/subnet.ts";
import { accuracyOn } from "./compression-steps.ts";
import { SUPERNET, TEACHER } from "./joint-folder.ts";

export interface JointTeacher extends Disposable {
  readonly graph: Graph;
  readonly params: ParameterStore;
}

/** As it was before the shrinking or as it is after it, whichever is better on validation images; to be disposed of. */
export function openJointTeacher(
  space: ElasticSpace,
  supernetDir: string,
  { data, images }: { readonly data: DataSplits; readonly images: readonly Float32Array[] },
): JointTeacher {
  const paths = [TEACHER, SUPERNET].map((file) => join(supernetDir, file)).filter((path) => existsSync(path));
  using opened = new DisposableStack();
  const networks = paths.map((path) => {
    using shared = loadSupernet(space, path);
    const { graph, params } = extractCalibrated(space, shared, largestSubnet(space), images);
    return { graph, params: opened.use(params), accuracy: accuracyOn(graph, params, data, "validation") };
  });
  const best = networks.reduce((a, b) => (b.accuracy > a.accuracy ? b : a));
  const kept = opened.move();
  return { graph: best.graph, params: best.params, [Symbol.dispose]: () => kept.dispose() };
}
