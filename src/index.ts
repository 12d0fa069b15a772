/** @file The public API. */
export { type LoadOptions, loadData } from "./data/load.ts";
export { dataFromImages, type LabelledImages, type OwnImages, type SplitOptions } from "./data/splits.ts";
export type { Augmentation, Batch, DataSplits, ImageSet, ImageShape, Normalisation } from "./data/types.ts";
export { AppError, type ErrorCode, EXIT_CODES } from "./errors.ts";
export { createBuilder, type GraphBuilder } from "./graph/builder.ts";
export { type GraphCounts, inspectGraph, type LayerCounts } from "./graph/counts.ts";
export { foldBatchNorm } from "./graph/fold.ts";
export { buildNetwork, type NetworkOptions, networkNames } from "./graph/networks/index.ts";
export type { Graph, Model, Node, OpAttrs, OpType, Weight, Weights } from "./graph/types.ts";
export { validate } from "./graph/validate.ts";
export type { CpuDevice, CpuOptions } from "./hardware/cpu.ts";
export type { Device, DeviceKind } from "./hardware/device.ts";
export { type LatencyStatistics, type MeasureOptions, measureModel, measureTogether } from "./hardware/measure.ts";
export { openDevice, openQuantizedDevice } from "./hardware/open.ts";
export { operatorsOf } from "./hardware/operators.ts";
export type { Accelerator, LayerCost, LayerGeometry, Precision, PrecisionChoices } from "./hardware/precision.ts";
export type { JointBudget, JointDevice, JointLimitKind } from "./joint/limits.ts";
export type { CostLossName, CostLossOptions } from "./nas/losses.ts";
export type { SearchMode, SearchReport } from "./nas/search-options.ts";
export { exportOnnx } from "./onnx/export.ts";
export { createSession, type OnnxSession } from "./onnx/session.ts";
export { configJsonSchema, defineConfig, type OptimizeConfig } from "./pipeline/config.ts";
export { type OptimizeEvent, type OptimizeHow, type OptimizeResult, type OptimizeRun, optimize } from "./pipeline/optimize.ts";
export type { Card, Constraint } from "./run/card.ts";
export type { JointMethod, JointSearchRunOptions } from "./run/joint-search-options.ts";
export { type JointSearchResult, runJointSearch } from "./run/joint-search-run.ts";
export { type JointTrainOptions, type JointTrainResult, runJointTrain } from "./run/joint-train-run.ts";
export { type OpenedModel, openModel } from "./run/model-file.ts";
export { type NasPipelineOptions, type NasPipelineResult, runNas } from "./run/nas-pipeline.ts";
export type { PruneOptions } from "./run/prepare-pruning.ts";
export { type PruneResult, runPrune } from "./run/prune-run.ts";
export { type QuantizeOptions, type QuantizeResult, runQuantize } from "./run/quantize-run.ts";
export { type TrainRunOptions, type TrainRunResult, trainNetwork } from "./run/train-run.ts";
export {
  createEvolution,
  type Evolution,
  type EvolutionOptions,
  type EvolveOptions,
  evolve,
  randomSearch,
  type Scored,
} from "./search/evolve.ts";
export { paretoFront } from "./search/pareto.ts";
export { type Architecture, parseArchitecture, printArchitecture, sampleArchitecture } from "./space/architecture.ts";
export { mobileNetSpace, parseSpace, proxylessImagenet, type SpaceDescription } from "./space/description.ts";
export { apqImagenet, type ElasticSpace, elasticMobileNet, parseElasticSpace } from "./space/elastic.ts";
export { architectureGraph } from "./space/graphs.ts";
export { defaultRecipe, type EpochReport, type Recipe } from "./train/recipe.ts";
export type { OnProgress, ProgressEvent } from "./util/progress.ts";
export { createRng, type Rng } from "./util/rng.ts";
