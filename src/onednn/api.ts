/** @file What the engine needs of oneDNN, in terms that both API generations share. Handles are native addresses. */

export type Handle = number;
/** Address of a memory descriptor. */
export type Desc = Handle;
export const NONE: Handle = 0;

export type Tag = "any" | "a" | "ab" | "abcd" | "abcde" | "aBcd8b" | "aBcd16b";

export const PROP = { training: 64, inference: 96, backward: 128 } as const;
export const QUERY = { src: 129, diffSrc: 130, weights: 131, diffWeights: 132, dst: 133, diffDst: 134, workspace: 135 } as const;
export const ARG = {
  src: 1,
  src1: 2,
  dst: 17,
  weights: 33,
  bias: 41,
  mean: 49,
  variance: 50,
  scale: 51,
  shift: 52,
  workspace: 64,
  diffSrc: 129,
  diffDst: 145,
  diffWeights: 161,
  diffBias: 169,
  diffScale: 255,
  diffShift: 256,
  multipleSrc: 1024,
} as const;

/** "auto" lets oneDNN take Winograd's algorithm where it has one, which rounds a little more coarsely. */
export type ConvAlgorithm = "direct" | "auto";
export const CONVOLUTION: Record<ConvAlgorithm, number> = { direct: 1, auto: 3 };
/** "round" goes to the nearest integer, halves to even, and has no backward pass. */
export type EltwiseAlgorithm = "relu" | "linear" | "logistic" | "clip" | "hardSwish" | "power" | "round";
export type PoolAlgorithm = "max" | "averageWithPadding" | "averageWithoutPadding";
export type BinaryAlgorithm = "add" | "mul" | "sub";
export const BINARY: Record<BinaryAlgorithm, number> = { add: 0x1fff0, mul: 0x1fff1, sub: 0x1fff5 };
export const POOL: Record<PoolAlgorithm, number> = { max: 0x1ff, averageWithPadding: 0x2ff, averageWithoutPadding: 0x3ff };

/** What is done to a result before it is written, in turn: added to what is there, or changed number by number. */
export type PostOp =
  | { readonly kind: "sum" }
  | { readonly kind: "eltwise"; readonly algorithm: EltwiseAlgorithm; readonly alpha: number; readonly beta: number }
  | { readonly kind: "binary"; readonly algorithm: BinaryAlgorithm; readonly b: Desc };
export const clipTo = (min: number, max: number): PostOp => ({ kind: "eltwise", algorithm: "clip", alpha: min, beta: max });

/** Sizes of one convolution; arrays are [height, width]; oneDNN counts dilation from 0. */
export interface WindowGeometry {
  readonly strides: readonly [number, number];
  readonly dilations: readonly [number, number];
  readonly paddingBefore: readonly [number, number];
  readonly paddingAfter: readonly [number, number];
}
export interface PoolGeometry extends WindowGeometry {
  readonly kernel: readonly [number, number];
}
export interface NormFlags {
  readonly globalStats: boolean;
  readonly fuseRelu: boolean;
}

/**
 * The part of oneDNN's C API that the engine uses; `v2.ts` and `v3.ts` implement it. Functions return primitive descriptors
 * (never freed: they are cached with their primitives) or 0 when oneDNN has no implementation for the request.
 */
export interface Api {
  readonly major: 2 | 3;
  /** Whether batch normalisation's gradient counts the shift among its arguments, which 2.x insists on and 3.x refuses. */
  readonly normGradientTakesShift: boolean;
  descByTag(dims: readonly number[], tag: Tag): Desc;
  /** Describes the box `dims` at `offsets` inside `parent`; 0 when the layout does not allow it. */
  submemory(parent: Desc, dims: readonly number[], offsets: readonly number[]): Desc;
  descBytes(desc: Desc): number;
  descEqual(a: Desc, b: Desc): boolean;
  queryDesc(pd: Handle, what: number, index?: number): Desc;
  implementation(pd: Handle): string;
  primitive(pd: Handle): Handle;
  memory(desc: Desc, address: number): Handle;
  destroyMemory(memory: Handle): void;
  execute(primitive: Handle, count: number, args: BigUint64Array): void;

  /** `attributes` 0 for none. */
  convForward(
    algorithm: ConvAlgorithm,
    prop: number,
    src: Desc,
    weights: Desc,
    bias: Desc,
    dst: Desc,
    g: WindowGeometry,
    attributes?: Handle,
  ): Handle;
  /** Attributes of an operation with these post-operations. */
  attributes(postOps: readonly PostOp[]): Handle;
  /** Argument of the second operand of a binary post-operation, by its place among them. */
  postOpArg(place: number): number;
  convBackwardData(algorithm: ConvAlgorithm, diffSrc: Desc, weights: Desc, diffDst: Desc, g: WindowGeometry, hint: Handle): Handle;
  convBackwardWeights(
    algorithm: ConvAlgorithm,
    src: Desc,
    diffWeights: Desc,
    diffBias: Desc,
    diffDst: Desc,
    g: WindowGeometry,
    hint: Handle,
  ): Handle;
  normForward(prop: number, data: Desc, epsilon: number, flags: NormFlags): Handle;
  normBackward(diffData: Desc, data: Desc, epsilon: number, flags: NormFlags, hint: Handle): Handle;
  eltwiseForward(algorithm: EltwiseAlgorithm, data: Desc, alpha: number, beta: number): Handle;
  /** From the destination for relu, clip and logistic; from the source for the others. */
  eltwiseBackward(algorithm: EltwiseAlgorithm, diffData: Desc, data: Desc, alpha: number, beta: number, hint: Handle): Handle;
  poolForward(prop: number, algorithm: PoolAlgorithm, src: Desc, dst: Desc, g: PoolGeometry): Handle;
  poolBackward(algorithm: PoolAlgorithm, diffSrc: Desc, diffDst: Desc, g: PoolGeometry, hint: Handle): Handle;
  /** `b` may have extents of 1, which are spread over `a`. */
  binary(algorithm: BinaryAlgorithm, a: Desc, b: Desc, dst: Desc, attributes?: Handle): Handle;
  reorder(src: Desc, dst: Desc): Handle;
  /** Row-major C = alpha·op(A)·op(B) + beta·C. */
  sgemm(
    transA: boolean,
    transB: boolean,
    m: number,
    n: number,
    k: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    beta: number,
    c: number,
    ldc: number,
  ): void;
}

/** Whether the backward pass of an element-wise function reads its result instead of its argument. */
export const USES_RESULT: Record<EltwiseAlgorithm, boolean> = {
  relu: true,
  clip: true,
  logistic: true,
  linear: false,
  hardSwish: false,
  power: false,
  round: false,
};
