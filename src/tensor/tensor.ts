/** @file Tensors in native memory, freed by the scope they were made in. */
import { AppError, assertShape } from "../errors.ts";
import { type Block, floats } from "../onednn/memory.ts";
import { type Layout, runtime } from "../onednn/runtime.ts";

/** float32 numbers of a shape [N, C, H, W], [N, F], [O, I, KH, KW] or [C] in native memory. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly layout: Layout;
  readonly block: Block;
  /** Whether backward computes a gradient for it. */
  readonly requiresGrad: boolean;
  /** Where the gradient of a leaf (a parameter) is collected; null for intermediate results. */
  readonly gradient: Gradient | null;
  isFreed: boolean;
}

/** Gradient of a leaf: `isSet` tells whether the last backward pass reached it. */
export interface Gradient {
  tensor: Tensor;
  isSet: boolean;
}

export interface Scope extends Disposable {
  /** Hands a tensor over to the enclosing scope. */
  keep(tensor: Tensor): Tensor;
}

const scopes: Set<Tensor>[] = [];

/** Frees, when disposed of, every tensor made since: `using scope = createScope()`. Scopes nest. */
export function createScope(): Scope {
  const tensors = new Set<Tensor>();
  scopes.push(tensors);
  return {
    keep: (tensor) => {
      if (tensors.delete(tensor)) scopes[scopes.indexOf(tensors) - 1]?.add(tensor);
      return tensor;
    },
    [Symbol.dispose]: () => {
      scopes.splice(scopes.indexOf(tensors), 1);
      for (const tensor of tensors) free(tensor);
    },
  };
}

export function describe(tensor: { readonly shape: readonly number[] }): string {
  return `f32[${tensor.shape.join(",")}]`;
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

function make(shape: readonly number[], layout: Layout, block: Block, requiresGrad: boolean, gradient: Gradient | null = null): Tensor {
  const tensor: Tensor = { shape: [...shape], layout, block, requiresGrad, gradient, isFreed: false };
  scopes.at(-1)?.add(tensor);
  return tensor;
}

/** A tensor of unspecified content. */
export function empty(layout: Layout, options: { shape?: readonly number[]; requiresGrad?: boolean } = {}): Tensor {
  return make(options.shape ?? layout.dims, layout, runtime().pool.allocate(layout.bytes), options.requiresGrad ?? false);
}

/** A second tensor on the same memory, read as another shape and layout of the same bytes. */
export function view(tensor: Tensor, shape: readonly number[], layout: Layout, requiresGrad = tensor.requiresGrad): Tensor {
  runtime().pool.retain(tensor.block);
  return make(shape, layout, tensor.block, requiresGrad);
}

/** Gives the memory back before the scope ends; harmless when that has happened. */
export function free(tensor: Tensor): void {
  if (tensor.isFreed) return;
  tensor.isFreed = true;
  for (let i = scopes.length - 1; i >= 0; i--) if (scopes[i]!.delete(tensor)) break;
  runtime().pool.release(tensor.block);
}

const PLAIN_TAGS = [null, "a", "ab", null, "abcd", "abcde"] as const;

/** The row-major layout of a shape with 1, 2, 4 or 5 axes. */
export function plainLayout(shape: readonly number[]): Layout {
  const tag = PLAIN_TAGS[shape.length];
  if (!tag) throw new AppError("SHAPE", `tensor: shape must have 1, 2, 4 or 5 axes, got [${shape}]`);
  return runtime().layout(shape, tag);
}

/** The layout of activations between layers: channels in blocks of one vector register; rows of features stay plain. */
export function activationLayout(shape: readonly number[]): Layout {
  if (shape.length !== 4) return plainLayout(shape);
  return runtime().layout(shape, runtime().channelBlock === 16 ? "aBcd16b" : "aBcd8b");
}

/** Copies row-major numbers into a new plain tensor. @throws AppError SHAPE when the count does not fit */
export function fromArray(shape: readonly number[], data: ArrayLike<number>, options: { requiresGrad?: boolean } = {}): Tensor {
  assertShape(data.length === elements(shape), () => `tensor: [${shape}] must get ${elements(shape)} numbers, got ${data.length}`);
  const tensor = empty(plainLayout(shape), options);
  floats(tensor.block).set(data);
  return tensor;
}

/** A leaf on memory of its own, with a gradient beside it; it belongs to no scope and is freed by `freeParameter`. */
export function createParameter(shape: readonly number[], data?: ArrayLike<number>): Tensor {
  const layout = plainLayout(shape);
  const unscoped = (gradient: Gradient | null): Tensor => ({
    shape: [...shape],
    layout,
    block: runtime().pool.allocate(layout.bytes),
    requiresGrad: true,
    gradient,
    isFreed: false,
  });
  const parameter = unscoped({ tensor: unscoped(null), isSet: false });
  if (data) valuesOf(parameter).set(data);
  else valuesOf(parameter).fill(0);
  return parameter;
}

export function freeParameter(parameter: Tensor): void {
  free(parameter);
  if (parameter.gradient) free(parameter.gradient.tensor);
}

/** The numbers of a plain tensor in place; valid until it is freed. */
export function valuesOf(tensor: Tensor): Float32Array {
  if (tensor.isFreed) throw new AppError("INTERNAL", "internal: a freed tensor was read");
  if (!tensor.layout.isPlain) throw new AppError("INTERNAL", "internal: only plain tensors can be read in place");
  const length = elements(tensor.shape);
  const all = floats(tensor.block);
  return all.length === length ? all : all.subarray(0, length);
}

/** The floats of a tensor in the order they lie in memory, padding included; valid until it is freed. */
export function valuesInMemory(tensor: Tensor): Float32Array {
  return floats(tensor.block).subarray(0, tensor.layout.bytes / 4);
}
