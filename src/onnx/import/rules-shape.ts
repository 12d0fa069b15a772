/** @file Import of operators that move numbers about: reshape, transpose, concat, split, slice, pad. */
import { type Call, require, shapeOfValue, type Value } from "./context.ts";
import { image, type Rule } from "./rules-layers.ts";
import { reshapeView, transposeView } from "./view.ts";

const count = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** The value under another shape of one sample. */
function reshaped(call: Call, value: Value, shape: readonly number[]): Value {
  require(count(shape) === count(shapeOfValue(value)), `a reshape of [${shapeOfValue(value)}] to [${shape}], which mixes samples`);
  const view = reshapeView(value.view, shape);
  require(view, "a reshape after a transpose");
  return call.viewed(value, view);
}

const reshape: Rule = (call) => {
  const value = call.value(0);
  const current = shapeOfValue(value);
  const target = [...call.constant(1).data].map(Number);
  const keepsZero = call.int("allowzero", 0) === 1;
  const isOfBatch = target[0] === -1 || target[0] === 1 || target[0] === call.batch || (target[0] === 0 && !keepsZero);
  require(isOfBatch, `a reshape to [${target}], which mixes samples`);
  const sizes = target.map((n, i) => (n === 0 && !keepsZero ? (i === 0 ? -1 : (current[i - 1] ?? 0)) : n));
  const rest = sizes.slice(1);
  const open = rest.indexOf(-1);
  if (open >= 0) rest[open] = count(current) / rest.reduce((product, n, i) => (i === open ? product : product * n), 1);
  require(rest.length > 0 && rest.every((n) => Number.isInteger(n) && n > 0), `a reshape to [${target}]`);
  return reshaped(call, value, rest);
};

/** Axes of one sample, without the batch. */
function sampleAxes(axes: readonly number[], rank: number): number[] {
  return axes.map((axis) => {
    const positive = axis < 0 ? axis + rank : axis;
    require(positive > 0, "an operator on the batch axis");
    return positive - 1;
  });
}

const flatten: Rule = (call) => {
  require(call.int("axis", 1) === 1, `axis ${call.int("axis", 1)}`);
  const value = call.value(0);
  return reshaped(call, value, [count(shapeOfValue(value))]);
};

const squeeze: Rule = (call) => {
  const value = call.value(0);
  const shape = shapeOfValue(value);
  const listed = call.listed("axes", 1);
  const axes = listed ? sampleAxes(listed, shape.length + 1) : shape.flatMap((n, i) => (n === 1 ? [i] : []));
  return reshaped(
    call,
    value,
    shape.filter((_, i) => !axes.includes(i)),
  );
};

const unsqueeze: Rule = (call) => {
  const value = call.value(0);
  const shape: number[] = shapeOfValue(value);
  const listed = call.listed("axes", 1) ?? [];
  for (const axis of sampleAxes(listed, shape.length + 1 + listed.length).sort((a, b) => a - b)) shape.splice(axis, 0, 1);
  return reshaped(call, value, shape);
};

const transpose: Rule = (call) => {
  const value = call.value(0);
  const rank = value.view.length + 1;
  const permutation = call.ints(
    "perm",
    Array.from({ length: rank }, (_, i) => rank - 1 - i),
  );
  require(permutation[0] === 0, "a transpose of the batch axis");
  return {
    ...value,
    view: transposeView(
      value.view,
      permutation.slice(1).map((axis) => axis - 1),
    ),
  };
};

const concat: Rule = (call) => {
  const parts = call.node.input.map((_, i) => call.plain(call.value(i)));
  require(parts.length > 0, "nothing to concatenate");
  const rank = parts[0]!.shape.length + 1;
  const [axis] = sampleAxes([call.int("axis", 1)], rank);
  require(axis === 0 && (rank === 4 || rank === 2), `axis ${axis! + 1} of ${rank}`);
  if (rank === 4)
    return call.emit(
      "concat",
      parts.map(({ name }) => name),
      {},
    );
  const raised = parts.map(
    ({ name, shape }, i) => call.emit("reshape", [name], { shape: [shape[0]!, 1, 1] }, { suffix: `image${i}` }).base,
  );
  return call.emit("flatten", [call.emit("concat", raised, {}, { suffix: "concat" }).base], {});
};

const split: Rule = (call) => {
  const x = image(call);
  const [axis] = sampleAxes([call.int("axis", 0)], 4);
  require(axis === 0, `axis ${axis! + 1}`);
  const outputs = call.node.output.length;
  const size = Math.ceil(x.shape[0]! / outputs);
  const sizes = call.listed("split", 1) ?? Array.from({ length: outputs }, (_, i) => Math.min(size, x.shape[0]! - i * size));
  let start = 0;
  return sizes.map((channels, i) => {
    const part = call.emit("sliceChannels", [x.name], { start, count: channels }, { suffix: `${i}` });
    start += channels;
    return part;
  });
};

const slice: Rule = (call) => {
  const x = image(call);
  const starts = call.listed("starts", 1) ?? [];
  const ends = call.listed("ends", 2) ?? [];
  const axes = sampleAxes(call.listed("axes", 3) ?? starts.map((_, i) => i), 4);
  const steps = call.opset >= 10 && call.has(4) ? [...call.constant(4).data].map(Number) : starts.map(() => 1);
  let bounds = { start: 0, count: x.shape[0]! };
  for (const [i, axis] of axes.entries()) {
    const size = x.shape[axis]!;
    const clamp = (n: number) => Math.min(size, Math.max(0, n < 0 ? n + size : n));
    const [from, to] = [clamp(starts[i]!), clamp(ends[i]!)];
    require(steps[i] === 1, `a step of ${steps[i]}`);
    require(axis === 0 || (from === 0 && to === size), "a crop of the pixels");
    if (axis === 0) bounds = { start: from, count: to - from };
  }
  return bounds.count === x.shape[0] ? call.value(0) : call.emit("sliceChannels", [x.name], bounds);
};

/** Channels that are neighbours; a single index drops the axis. */
const gather: Rule = (call) => {
  const x = image(call);
  const [axis] = sampleAxes([call.int("axis", 0)], 4);
  require(axis === 0, `indices on axis ${axis! + 1}`);
  const { dims, data } = call.constant(1);
  const indices = [...data].map((n) => (Number(n) < 0 ? Number(n) + x.shape[0]! : Number(n)));
  require(indices.length > 0 && indices.every((n, i) => n === indices[0]! + i), "channels in another order");
  const part = call.emit("sliceChannels", [x.name], { start: indices[0]!, count: indices.length });
  return dims.length === 0 ? reshaped(call, part, x.shape.slice(1)) : part;
};

const pad: Rule = (call) => {
  const x = image(call);
  const mode = call.text("mode", "constant");
  const fill = call.opset >= 11 ? (call.has(2) ? Number(call.constant(2).data[0]) : 0) : call.float("value", 0);
  require(mode === "constant" && fill === 0, `padding with "${mode}" ${fill}`);
  const given = call.listed("pads", 1) ?? [];
  const axes =
    call.opset >= 18 && call.has(3) ? sampleAxes([...call.constant(3).data].map(Number), 4).map((axis) => axis + 1) : [0, 1, 2, 3];
  const padOf = (axis: number, end: 0 | 1) => (axes.includes(axis) ? given[axes.indexOf(axis) + end * axes.length]! : 0);
  const pads = given.length === 2 * axes.length ? [0, 1].flatMap((end) => [0, 1, 2, 3].map((axis) => padOf(axis, end as 0 | 1))) : given;
  const [, before, top, left, , after, bottom, right] = pads as [number, number, number, number, number, number, number, number];
  require(pads.length === 8 && pads.every((n) => n >= 0) && pads[0] === 0 && pads[4] === 0 && before === 0, `pads [${pads}]`);
  const isPadded = top + left + bottom + right > 0;
  const wide = after > 0 ? call.emit("padChannels", [x.name], { after }, isPadded ? { suffix: "channels" } : {}) : null;
  if (!isPadded) return wide ?? call.value(0);
  return call.emit("pad", [wide?.base ?? x.name], { padding: { top, left, bottom, right } });
};

export const shapeRules: Readonly<Record<string, Rule>> = {
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  Pad: pad,
};
