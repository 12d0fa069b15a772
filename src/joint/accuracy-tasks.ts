/** @file What it takes to learn one genome's accuracy: a pure function of supernet, genome and settings, so that each can be repeated alone. */
import type { Augmentation, DataSplits } from "../data/types.ts";
import type { Graph } from "../graph/types.ts";
import { exportWeights, type ParameterStore } from "../nn/parameters.ts";
import { recalibrate } from "../nn/recalibrate.ts";
import { sampleActivations } from "../quantize/calibrate.ts";
import { quantizableLayers } from "../quantize/layers.ts";
import { createQuantization, type QuantizedNetwork } from "../quantize/network.ts";
import { shortTune } from "../quantize/short-tune.ts";
import type { ElasticSpace } from "../space/elastic.ts";
import { createGenetics, type Genome, type JointChoice } from "../space/genome.ts";
import { type Evaluation, evaluate } from "../train/evaluate.ts";
import { finished } from "../util/disposal.ts";
import { createRng } from "../util/rng.ts";
import { extractCalibrated } from "./extract.ts";
import { layerBits } from "./precision.ts";

export interface AccuracyTask {
  readonly space: ElasticSpace;
  readonly shared: ParameterStore;
  readonly data: DataSplits;
  /** Equal batches of normalised training images: for statistics and ranges. */
  readonly images: readonly Float32Array[];
  readonly batchSize: number;
  readonly augmentation: Augmentation | null;
  /** Training of a quantised sub-net before it is judged. */
  readonly tuneSteps: number;
  readonly tuneLr: number;
  readonly seed: number;
}

const onValidation = ({ data }: AccuracyTask, graph: Graph, params: ParameterStore): Evaluation =>
  evaluate(graph, params, data.validation, { normalisation: data.normalisation });

/** The float sub-net, straight from the supernet, on validation images. */
export function judgeFloat(task: AccuracyTask, genome: Genome): Evaluation {
  const { space, shared, images } = task;
  const { graph, params } = extractCalibrated(space, shared, createGenetics(space).decode(genome).subnet, images);
  using owned = params;
  return onValidation(task, graph, owned);
}

/** The sub-net at its bits, with the statistics that it had as floats. */
function quantize({ space, shared, images, seed }: AccuracyTask, choice: JointChoice): QuantizedNetwork {
  const { graph, params } = extractCalibrated(space, shared, choice.subnet, images);
  using owned = params;
  const layers = quantizableLayers(graph);
  const rng = createRng(seed);
  const quantization = createQuantization({
    model: { graph, weights: exportWeights(owned) },
    layers,
    samples: sampleActivations(graph, owned, images.slice(0, 2), rng.fork("activations")),
    scheme: "linear",
    calibration: "mse",
    rng: rng.fork("weights"),
    areResultsQuantized: false,
  });
  return quantization.create(layerBits(space, choice, layers));
}

/** The sub-net at its bits, before any training; the caller disposes of it. */
export const quantizedSubnet = (task: AccuracyTask, choice: JointChoice): QuantizedNetwork =>
  finished(quantize(task, choice), ({ graph, params }) => recalibrate(graph, params, task.images));

/** The same after a short training. */
export function tunedSubnet(task: AccuracyTask, choice: JointChoice): QuantizedNetwork {
  const { data, images, batchSize, augmentation, seed, tuneSteps, tuneLr } = task;
  return finished(quantize(task, choice), (net) => {
    shortTune(net, { data, batchSize, augmentation, seed, steps: tuneSteps, lr: tuneLr });
    recalibrate(net.graph, net.params, images);
  });
}

/** The sub-net at its bits after a short training, on validation images. */
export function judgeQuantized(task: AccuracyTask, genome: Genome): Evaluation {
  using net = tunedSubnet(task, createGenetics(task.space).decode(genome));
  return onValidation(task, net.graph, net.params);
}
