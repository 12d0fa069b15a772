/**
 * @file Reshapes and transposes as ways to read a value, so that most of them need no operator. A view lists, per axis, the
 * strides by which it walks through the row-major elements of one sample.
 */

/** `size` steps of `stride` elements. */
interface Factor {
  readonly size: number;
  readonly stride: number;
}
/** Axes without the batch; an axis made of several factors walks the first one slowest. */
export type View = readonly (readonly Factor[])[];

const product = (sizes: readonly number[]) => sizes.reduce((total, n) => total * n, 1);

/** Reads elements in the order they lie. */
export function plainView(shape: readonly number[]): View {
  return shape.map((size, axis) => [{ size, stride: product(shape.slice(axis + 1)) }]);
}

export const viewShape = (view: View): number[] => view.map((axis) => product(axis.map(({ size }) => size)));

/** Joins factors that walk on where the other ends; drops those of size 1. */
function normalised(factors: readonly Factor[]): Factor[] {
  const result: Factor[] = [];
  for (const factor of factors) {
    if (factor.size === 1) continue;
    const last = result.at(-1);
    if (last && last.stride === factor.size * factor.stride) {
      result[result.length - 1] = { size: last.size * factor.size, stride: factor.stride };
    } else result.push(factor);
  }
  return result;
}

export const transposeView = (view: View, permutation: readonly number[]): View => permutation.map((axis) => view[axis] ?? []);

/** The view under another shape, or null when an axis would cut a factor unevenly. */
export function reshapeView(view: View, shape: readonly number[]): View | null {
  const rest = normalised(view.flat());
  const axes: Factor[][] = [];
  for (const wanted of shape) {
    const axis: Factor[] = [];
    for (let left = wanted; left > 1; ) {
      const next = rest.shift();
      if (!next) return null;
      if (left % next.size === 0) {
        axis.push(next);
        left /= next.size;
      } else if (next.size % left === 0) {
        const inner = next.size / left;
        axis.push({ size: left, stride: next.stride * inner });
        rest.unshift({ size: inner, stride: next.stride });
        left = 1;
      } else return null;
    }
    axes.push(axis);
  }
  return rest.length === 0 ? axes : null;
}

/** Whether two views read the same elements in the same order under the same shape. */
export function isSameView(a: View, b: View): boolean {
  const text = (view: View) => JSON.stringify(view.map(normalised));
  return text(a) === text(b) && viewShape(a).join() === viewShape(b).join();
}

/** Whether elements are read in the order they lie, whatever the shape. */
export function isInOrder(view: View): boolean {
  const factors = normalised(view.flat());
  return factors.length === 0 || (factors.length === 1 && factors[0]!.stride === 1);
}

/** For a view [C, H, W] whose pixels lie in order: the groups by which its channels are shuffled, or null. */
export function shuffleGroups(view: View): number | null {
  if (view.length !== 3) return null;
  const [channels, height, width] = viewShape(view) as [number, number, number];
  const [axis, ...pixels] = view.map(normalised);
  const inOrder = plainView([height, width]).map(normalised);
  if (JSON.stringify(pixels) !== JSON.stringify(inOrder) || axis!.length !== 2) return null;
  const [columns, groups] = axis as [Factor, Factor];
  const isShuffle = columns.stride === height * width && groups.stride === columns.size * height * width;
  return isShuffle && columns.size * groups.size === channels ? groups.size : null;
}

/** Where each element of a view lies. */
export function viewIndices(view: View): Int32Array {
  let indices = [0];
  for (const { size, stride } of view.flat()) indices = indices.flatMap((at) => Array.from({ length: size }, (_, i) => at + i * stride));
  return Int32Array.from(indices);
}
