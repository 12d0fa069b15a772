/** @file The intermediate representation: a network is a list of nodes in execution order, its weights stand beside it. */

/** Shape of one sample without the batch axis: [C, H, W] for images, [F] for vectors. */
export type SampleShape = readonly number[];

export type Pair = readonly [height: number, width: number];
/** Zero padding in pixels. */
export interface Padding {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

interface PoolAttrs {
  readonly kernel: Pair;
  readonly stride: Pair;
  readonly padding: Padding;
}
type None = Readonly<Record<string, never>>;

/** Attributes of every operator. The input channel count always comes from the input's shape. */
export interface OpAttrs {
  /** 2-D convolution; params: weight [O, I/groups, KH, KW], optional bias [O]. */
  conv: {
    readonly outChannels: number;
    readonly kernel: Pair;
    readonly stride: Pair;
    readonly padding: Padding;
    readonly dilation: Pair;
    readonly groups: number;
    readonly hasBias: boolean;
  };
  /** Batch normalisation over N, H, W; params: scale, shift, mean, variance, each [C]. `momentum` weighs the new batch. */
  batchNorm: { readonly epsilon: number; readonly momentum: number };
  relu: None;
  /** min(max(x, min), max); ReLU6 is { min: 0, max: 6 }. */
  clip: { readonly min: number; readonly max: number };
  leakyRelu: { readonly slope: number };
  /** x · clip(x + 3, 0, 6) / 6. */
  hardSwish: None;
  sigmoid: None;
  /** clip(x / 6 + 1/2, 0, 1). */
  hardSigmoid: None;
  /** scale · x + shift, with constants. */
  affine: { readonly scale: number; readonly shift: number };
  /** Two inputs of equal shape. */
  add: None;
  /** Two inputs: equal shapes, or the second [C, 1, 1] broadcast over H×W (squeeze-and-excitation). */
  mul: None;
  /** Along channels; one or more inputs. */
  concat: None;
  maxPool: PoolAttrs;
  averagePool: PoolAttrs & { readonly countIncludesPadding: boolean };
  /** [C, H, W] → [C, 1, 1]. */
  globalAveragePool: None;
  /** Zero channels appended at the end: ResNet's parameter-free shortcut (option A, with a 1×1 averagePool of stride 2 before it). */
  padChannels: { readonly after: number };
  /** Zero pixels around an image. */
  pad: { readonly padding: Padding };
  /** Channels start … start + count − 1. */
  sliceChannels: { readonly start: number; readonly count: number };
  /** Channel i·C/g + j moves to j·g + i (ShuffleNet; Zhang et al. 2018, arXiv:1707.01083). */
  channelShuffle: { readonly groups: number };
  /** Local response normalisation: x / (bias + alpha/size · Σ x²)^beta over `size` neighbouring channels (Krizhevsky et al. 2012). */
  lrn: { readonly size: number; readonly alpha: number; readonly beta: number; readonly bias: number };
  /** params: weight [O, I], optional bias [O]; input [I]. */
  linear: { readonly outFeatures: number; readonly hasBias: boolean };
  flatten: None;
  reshape: { readonly shape: readonly number[] };
  /** Over the features of [F]. */
  softmax: None;
  /** Identity outside training. */
  dropout: { readonly rate: number };
  /**
   * Values rounded to codes of 1…8 bits times a step, clipped to 0 … range or, signed, to −range … range (the whole two's complement);
   * params: range [1].
   */
  quantize: { readonly bits: number; readonly isSigned: boolean };
  /** An operator of another program that Fettle can count but not compute; shape [0] when nothing tells it. */
  opaque: { readonly opType: string; readonly reason: string; readonly shape: readonly number[] };
}

export type OpType = keyof OpAttrs;

/** Roles a node's parameters play; values are names in `Weights`. */
export type ParamRole = "weight" | "bias" | "scale" | "shift" | "mean" | "variance" | "range" | "transform";

export interface NodeOf<K extends OpType> {
  /** Unique; also the name of the one value that the node computes. */
  readonly name: string;
  readonly op: K;
  /** Names of nodes or of the graph's input. */
  readonly inputs: readonly string[];
  /** Names of weights by role; several graphs may name the same weights (a supernet's sub-networks). */
  readonly params: Readonly<Partial<Record<ParamRole, string>>>;
  readonly attrs: OpAttrs[K];
}
export type Node = { [K in OpType]: NodeOf<K> }[OpType];

export interface Graph {
  readonly name: string;
  /** `layout` is how files read it (default NCHW); `shape` is [C, H, W] either way. */
  readonly input: { readonly name: string; readonly shape: SampleShape; readonly layout?: "NHWC" };
  /** Topologically sorted: a node's inputs stand before it. */
  readonly nodes: readonly Node[];
  /** Name of the node whose value is the result. */
  readonly output: string;
  /** What files call the result (default "logits"). */
  readonly outputName?: string;
}

/** A weight outside the engine: float32, row-major, in ONNX's layouts (OIHW, [O, I]). */
export interface Weight {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
export type Weights = ReadonlyMap<string, Weight>;

export interface Model {
  readonly graph: Graph;
  readonly weights: Weights;
}
