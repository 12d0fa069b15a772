/** @file Reverse-mode differentiation: ops write down how to go back, `backward` walks the notes in reverse. */
import { ARG } from "../onednn/api.ts";
import { runtime } from "../onednn/runtime.ts";
import { copy, toLayout } from "./layout.ts";
import { empty, free, type Gradient, type Tensor } from "./tensor.ts";

/**
 * Gradients of the inputs for the gradient of the output, in the inputs' order; null where none is wanted. The function may
 * overwrite `dy` when nothing else refers to its memory, and may return `dy` itself.
 */
export type Backward = (dy: Tensor) => readonly (Tensor | null)[];

interface Entry {
  readonly inputs: readonly Tensor[];
  readonly output: Tensor;
  readonly saved: readonly Tensor[];
  readonly backward: Backward;
}

export interface Tape {
  /** Notes one op. `saved` tensors are freed once its gradient is done. */
  record(entry: Entry): void;
  /**
   * Adds the gradient of every leaf (see `Gradient`) for the gradients `seeds` of some outputs. Frees the noted tensors on the
   * way; a tape is used once. `onGradient` sees the gradient of each tensor asked for in `watch`, before it is freed.
   */
  backward(seeds: ReadonlyMap<Tensor, Tensor>, watch?: ReadonlyMap<Tensor, (gradient: Tensor) => void>): void;
}

/** Whether memory belongs to this tensor alone, so that it may be overwritten. */
export function isExclusive(tensor: Tensor): boolean {
  return tensor.block.references === 1;
}

/** into += other; equal layouts. */
export function addInto(into: Tensor, other: Tensor): void {
  const engine = runtime();
  const { layout } = into;
  const primitive = engine.cached(`addInto|${layout.id}`, () =>
    engine.compile(engine.api.binary("add", layout.desc, layout.desc, layout.desc), `a sum of [${layout.dims}]`),
  );
  engine.execute(primitive, [ARG.src, layout, into.block], [ARG.src1, layout, other.block], [ARG.dst, layout, into.block]);
}

/** Makes the memory of `gradient` the slot's own, when nothing else refers to it. */
function adopt(slot: Gradient, gradient: Tensor): boolean {
  if (gradient.layout !== slot.tensor.layout || !isExclusive(gradient)) return false;
  const { pool } = runtime();
  const former = slot.tensor.block;
  pool.retain(gradient.block);
  slot.tensor = { ...slot.tensor, block: gradient.block };
  pool.release(former);
  return true;
}

function collectLeaf(leaf: Tensor, gradient: Tensor): void {
  const slot = leaf.gradient!;
  if (!slot.isSet) {
    if (!adopt(slot, gradient)) copy(gradient, slot.tensor);
    slot.isSet = true;
  } else {
    const plain = toLayout(gradient, slot.tensor.layout);
    addInto(slot.tensor, plain);
    if (plain !== gradient) free(plain);
  }
}

export function createTape(): Tape {
  const entries: Entry[] = [];
  return {
    record: (entry) => {
      entries.push(entry);
    },
    backward: (seeds, watch) => {
      const gradients = new Map<Tensor, Tensor>(seeds);
      const accumulate = (input: Tensor, gradient: Tensor) => {
        if (input.gradient) {
          collectLeaf(input, gradient);
          free(gradient);
          return;
        }
        const aligned = toLayout(gradient, input.layout);
        if (aligned !== gradient) free(gradient);
        const before = gradients.get(input);
        if (before === undefined) gradients.set(input, aligned);
        else gradients.set(input, sum(before, aligned));
      };
      for (let entry = entries.pop(); entry; entry = entries.pop()) {
        const dy = gradients.get(entry.output);
        if (dy) {
          gradients.delete(entry.output);
          watch?.get(entry.output)?.(dy);
          for (const [i, gradient] of entry.backward(dy).entries()) {
            if (gradient) accumulate(entry.inputs[i]!, gradient === dy ? alias(dy) : gradient);
          }
          free(dy);
        }
        free(entry.output);
        for (const tensor of entry.saved) free(tensor);
      }
      for (const [tensor, gradient] of gradients) {
        watch?.get(tensor)?.(gradient);
        free(gradient);
      }
    },
  };
}

/** A second reference to the same memory, for a gradient that is handed on as it is. */
function alias(tensor: Tensor): Tensor {
  const { pool } = runtime();
  pool.retain(tensor.block);
  return { ...tensor, isFreed: false };
}

/** a + b, written over one of them when it is exclusive; frees what is no longer needed. */
function sum(a: Tensor, b: Tensor): Tensor {
  const [into, other] = isExclusive(a) ? [a, b] : [b, a];
  if (isExclusive(into)) {
    addInto(into, other);
    free(other);
    return into;
  }
  const result = empty(a.layout, { shape: a.shape });
  copy(a, result);
  addInto(result, b);
  free(a);
  free(b);
  return result;
}
