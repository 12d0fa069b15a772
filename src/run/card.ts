/** @file card.json: what an exported model is, what it was measured to do, and how each number came about. */
import { createRequire } from "node:module";
import { cpus, platform, release } from "node:os";
import type { DataSplits } from "../data/types.ts";
import { inspectGraph } from "../graph/counts.ts";
import type { Graph } from "../graph/types.ts";
import type { LatencyStatistics } from "../hardware/measure.ts";
import { runtime } from "../onednn/runtime.ts";

/** How a number came about. */
export type Obtained = "measured" | "counted" | "estimated";

export interface Constraint {
  readonly name: "latency" | "energy" | "macs" | "params" | "size" | "bitops" | "peakMemory" | "accuracyDrop";
  readonly unit: "ms" | "mJ" | "MACs" | "parameters" | "bytes" | "BitOps" | "points";
  readonly limit: number;
  readonly value: number;
  readonly obtained: Obtained;
  readonly isMet: boolean;
}

export interface Card {
  readonly model: string;
  readonly network: string;
  /** What to feed: pixels scaled to 0…1, minus mean, divided by std. */
  readonly input: {
    readonly name: string;
    readonly shape: readonly number[];
    readonly layout: "NCHW" | "NHWC";
    readonly mean: readonly number[];
    readonly std: readonly number[];
  };
  readonly classes: readonly string[];
  /** Of the exported file, in ONNX Runtime; `engine` beside it where the file's rounding is not the engine's to the last bit. */
  readonly accuracy: { readonly test: number; readonly testImages: number; readonly engine?: number; readonly obtained: "measured" };
  readonly latency: LatencyStatistics & {
    readonly device: string;
    readonly threads: number;
    readonly batch: 1;
    readonly obtained: "measured";
  };
  readonly constraints: readonly Constraint[];
  readonly macs: number;
  readonly params: number;
  readonly fileBytes: number;
  readonly peakActivationBytes: number;
  /** Largest |engine − ONNX Runtime| over the logits of the images compared. */
  readonly maxDifference: number;
  readonly layers: readonly {
    readonly name: string;
    readonly op: string;
    readonly output: readonly number[];
    readonly macs: number;
    readonly params: number;
    /** Of quantised layers; 32 is float. */
    readonly weightBits?: number;
    readonly activationBits?: number;
  }[];
  /** Σ MACs · weight bits · activation bits; of quantised models. */
  readonly bitOps?: number;
  readonly data: string;
  /** Seed by which the images were split: the same one keeps the test images unseen. */
  readonly splitSeed: number | null;
  readonly seed: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly host: Readonly<Record<string, string | number>>;
}

export type CardFacts = Pick<Card, "accuracy" | "latency" | "constraints" | "fileBytes" | "maxDifference" | "seed">;

const FLOAT_BITS = 32;
const product = (bits: { weightBits: number; activationBits: number } | undefined): number =>
  bits ? bits.weightBits * bits.activationBits : FLOAT_BITS ** 2;

/** The image in the order that the file has it. */
function fileShape({ input: { shape, layout } }: Graph): readonly number[] {
  const [c, ...pixels] = shape;
  return layout === "NHWC" ? [...pixels, c!] : shape;
}

function packageVersion(name: string): string {
  const require = createRequire(import.meta.url);
  return (require(name) as { version: string }).version;
}

/** Bits by layer. */
type Precisions = ReadonlyMap<string, { readonly weightBits: number; readonly activationBits: number }>;

export function createCard(graph: Graph, data: DataSplits, facts: CardFacts, precision: Precisions = new Map()): Card {
  const { layers, macs, params, peakActivationBytes } = inspectGraph(graph);
  const { version } = runtime().library;
  return {
    model: "model.onnx",
    network: graph.name,
    input: {
      name: graph.input.name,
      shape: ["N", ...fileShape(graph)] as unknown as number[],
      layout: graph.input.layout ?? "NCHW",
      ...data.normalisation,
    },
    classes: data.train.classes,
    ...facts,
    macs,
    params,
    peakActivationBytes,
    layers: layers.map((layer) => ({
      name: layer.name,
      op: layer.op,
      output: layer.outputShape,
      macs: layer.macs,
      params: layer.params,
      ...precision.get(layer.name),
    })),
    ...(precision.size > 0 ? { bitOps: layers.reduce((sum, { name, macs: own }) => sum + own * product(precision.get(name)), 0) } : {}),
    data: data.name,
    splitSeed: data.splitSeed ?? null,
    versions: {
      fettle: packageVersion("../../package.json"),
      onnxruntime: packageVersion("onnxruntime-node/package.json"),
      onednn: `${version.major}.${version.minor}.${version.patch}`,
      node: process.versions.node,
    },
    host: { cpu: cpus()[0]?.model ?? "unknown", cores: cpus().length, system: `${platform()} ${release()}` },
  };
}
