/** @file From trained parameters to a file that was checked and measured. */
import { batches } from "../data/batches.ts";
import { someOf } from "../data/image-set.ts";
import type { DataSplits, ImageSet, Normalisation } from "../data/types.ts";
import { AppError } from "../errors.ts";
import { withLogits } from "../graph/ending.ts";
import type { QuantizedWeights } from "../graph/quantized-weight.ts";
import type { Graph } from "../graph/types.ts";
import { type LatencyStatistics, measureModel, timedAgain } from "../hardware/measure.ts";
import type { Precision } from "../hardware/precision.ts";
import { exportWeights, type ParameterStore } from "../nn/parameters.ts";
import { run } from "../nn/run.ts";
import { exportOnnx } from "../onnx/export.ts";
import { createSession, type OnnxSession } from "../onnx/session.ts";
import { toArray } from "../tensor/layout.ts";
import { createScope, fromArray } from "../tensor/tensor.ts";
import { evaluate } from "../train/evaluate.ts";
import { createRng } from "../util/rng.ts";
import { formatPercent } from "../util/units.ts";
import { type Card, type Constraint, createCard } from "./card.ts";
import { batchOf, runImages } from "./feed.ts";
import type { RunFolder } from "./folder.ts";

/** Logits of an exported file may differ from the engine's by this much, relative to the largest logit when that is above 1. */
const LARGEST_DIFFERENCE = 1e-4;
const IMAGES_COMPARED = 200;
/** Quantised files give the engine's class for this share of the images compared: values at the edge of rounding fall to either side. */
const LEAST_AGREEMENT = 0.75;
/** Standard errors by which accuracies may differ all the same where classes are nearly tied, as in a network that has learnt little. */
const ERRORS = 3;

const inOrder = (set: ImageSet, normalisation: Normalisation, batchSize: number) => ({
  batchSize: Math.min(batchSize, set.count),
  normalisation,
  augmentation: null,
  rng: createRng(0),
  shuffle: false,
  dropLast: false,
  epoch: 0,
});

const largestOf = (row: Float32Array): number => row.indexOf(Math.max(...row));

/** Share of images that the file classifies as labelled. */
export async function evaluateOnnx(session: OnnxSession, set: ImageSet, normalisation: Normalisation): Promise<number> {
  let correct = 0;
  for (const batch of batches(set, inOrder(set, normalisation, batchOf(session, 250)))) {
    const logits = await runImages(session, batch.x, batch.size, set.shape);
    const classes = logits.length / batch.size;
    if (classes !== set.classes.length)
      throw new AppError(
        "CONFIG",
        `evaluate: the model must have ${set.classes.length} outputs, one for each class of the images, got ${classes}`,
      );
    for (let i = 0; i < batch.size; i++) {
      const row = logits.subarray(i * classes, (i + 1) * classes);
      if (largestOf(row) === batch.labels[i]) correct++;
    }
  }
  return correct / set.count;
}

/** Largest difference between the engine's and the file's logits on the first images of `set`, the largest logit, the share of equal classes. */
async function compareOutputs(graph: Graph, params: ParameterStore, session: OnnxSession, set: ImageSet, normalisation: Normalisation) {
  let [difference, largest, same] = [0, 0, 0];
  let images = 1;
  for (const batch of batches(set, inOrder(set, normalisation, IMAGES_COMPARED))) {
    using _scope = createScope();
    const shape = [batch.size, ...set.shape];
    const ours = toArray(run(graph, params, fromArray(shape, batch.x), { tape: null, mode: "eval" }));
    const theirs = await runImages(session, batch.x, batch.size, set.shape);
    for (let i = 0; i < ours.length; i++) {
      difference = Math.max(difference, Math.abs(ours[i]! - theirs[i]!));
      largest = Math.max(largest, Math.abs(ours[i]!));
    }
    images = batch.size;
    const classes = ours.length / images;
    for (let i = 0; i < images; i++) {
      const [a, b] = [ours, theirs].map((logits) => largestOf(logits.subarray(i * classes, (i + 1) * classes)));
      if (a === b) same++;
    }
    break;
  }
  return { difference, largest, agreement: same / images };
}

/** The file beside the engine, and its accuracy on `images`. @throws AppError BACKEND when it gives no numbers */
async function tested(
  bytes: Uint8Array,
  { graph, params, images, data }: Pick<DeployOptions, "graph" | "params" | "data"> & { readonly images: ImageSet },
) {
  const session = await createSession(bytes, { threads: 2 });
  try {
    const compared = await compareOutputs(graph, params, session, data.test, data.normalisation);
    if (!Number.isFinite(compared.difference) || !Number.isFinite(compared.largest))
      throw new AppError(
        "BACKEND",
        `training: the network must give numbers, got ${compared.largest} — train with a lower learning rate; nothing was replaced`,
      );
    return { ...compared, test: await evaluateOnnx(session, images, data.normalisation) };
  } finally {
    await session.close();
  }
}

/** What a file notes of itself: where it comes from, and its bits, which `inspect` reads. */
export function fileMetadata({ name }: Graph, data: string, precision: ReadonlyMap<string, Precision>): Record<string, string> {
  const bits = Object.fromEntries([...precision].map(([layer, p]) => [layer, [p.weightBits, p.activationBits]]));
  return { network: name, data, ...(precision.size > 0 ? { bits: JSON.stringify(bits) } : {}) };
}

export interface DeployOptions {
  readonly graph: Graph;
  readonly params: ParameterStore;
  readonly data: DataSplits;
  readonly folder: RunFolder;
  readonly seed: number;
  readonly threads?: number;
  /** Store weights with many zeros so that the file is smaller. */
  readonly sparse?: boolean;
  /** Store these weights as codes. A quantised file rounds as the engine does but for ties: classes are compared, not logits. */
  readonly quantized?: QuantizedWeights;
  /** Bits by layer, for the card. */
  readonly precision?: ReadonlyMap<string, Precision>;
  /** Test on so many random images only, for a run that must end soon (default: all). */
  readonly testImages?: number;
  readonly constraints?: (measured: { latency: LatencyStatistics; fileBytes: number }) => readonly Constraint[];
}

/**
 * Writes model.onnx and card.json: exported, compared with the engine, tested and timed in ONNX Runtime.
 * @throws AppError ONNX when the file does not compute what the engine computes
 */
export async function deploy({
  graph,
  params,
  data,
  folder,
  seed,
  threads = 1,
  sparse = false,
  testImages,
  quantized = new Map(),
  precision = new Map(),
  constraints = () => [],
}: DeployOptions): Promise<Card> {
  const bytes = exportOnnx(
    { graph, weights: exportWeights(params) },
    { metadata: fileMetadata(graph, data.name, precision), sparse, quantized },
  );
  const path = folder.path("model.onnx");
  const images = testImages === undefined ? data.test : someOf(data.test, testImages, createRng(0));
  const { difference, largest, agreement, test } = await tested(bytes, { graph, params, images, data });
  const isQuantized = precision.size > 0;
  const inEngine = isQuantized
    ? { engine: evaluate(withLogits(graph), params, images, { normalisation: data.normalisation }).accuracy }
    : {};
  const isAsAccurate = Math.abs(test - (inEngine.engine ?? test)) <= ERRORS * Math.sqrt((1 - agreement) / images.count);
  const isSame = isQuantized ? agreement >= LEAST_AGREEMENT || isAsAccurate : difference <= LARGEST_DIFFERENCE * Math.max(1, largest);
  if (!isSame) {
    throw new AppError(
      "ONNX",
      `export: ${path} must compute what the engine computes, got a difference of ${difference} in logits up to ${largest}, and the same class for ${formatPercent(agreement)} of the images`,
    );
  }
  folder.writeBytes("model.onnx", bytes);
  const limitsAt = (latency: LatencyStatistics) => constraints({ latency, fileBytes: bytes.length });
  const isTooSlow = (latency: LatencyStatistics) =>
    limitsAt(latency).some(({ name, obtained, isMet }) => name === "latency" && obtained === "measured" && !isMet);
  const latency = await timedAgain(path, await measureModel(path, { threads }), isTooSlow, { threads });
  const card = createCard(
    graph,
    data,
    {
      accuracy: { test, testImages: images.count, ...inEngine, obtained: "measured" },
      latency: { ...latency, device: "cpu", threads, batch: 1, obtained: "measured" },
      constraints: limitsAt(latency),
      fileBytes: bytes.length,
      maxDifference: difference,
      seed,
    },
    precision,
  );
  folder.writeJson("card.json", card);
  return card;
}
