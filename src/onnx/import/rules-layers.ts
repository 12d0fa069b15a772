/** @file Import of layers: convolution, batch normalisation, pooling, linear, normalisation over channels. */
import type { OpAttrs, Padding, Pair, SampleShape } from "../../graph/types.ts";
import { type Call, plainValue, require, shapeOfValue, Unsupported, type Value } from "./context.ts";
import { isInOrder, reshapeView, viewIndices } from "./view.ts";

export type Rule = (call: Call) => Value | readonly Value[];

export const pair = (values: readonly number[]): Pair => [values[0]!, values[1]!];

/** Height and width of a window's attribute. @throws Unsupported unless both are whole numbers from 1 */
function positivePair(call: Call, name: string, fallback: readonly number[]): Pair {
  const values = call.ints(name, fallback);
  require(values.length === 2 && values.every((n) => Number.isInteger(n) && n >= 1 && n < 2 ** 31), `${name} [${values}]`);
  return pair(values);
}

/** Input 0 as a plain image. */
export function image(call: Call): { readonly name: string; readonly shape: SampleShape } {
  const x = call.plain(call.value(0));
  require(x.shape.length === 3, `an input with ${x.shape.length + 1} axes instead of [N,C,H,W]`);
  return x;
}

/** Padding of a window, from `pads` or `auto_pad`. */
function paddingOf(call: Call, [, h, w]: SampleShape, kernel: Pair, stride: Pair, dilation: Pair): Padding {
  const mode = call.text("auto_pad", "NOTSET");
  if (mode === "NOTSET" || mode === "VALID") {
    const [top, left, bottom, right] = mode === "VALID" ? [0, 0, 0, 0] : call.ints("pads", [0, 0, 0, 0]);
    require([top, left, bottom, right].every((n) => n !== undefined && n >= 0), "negative padding");
    return { top: top!, left: left!, bottom: bottom!, right: right! };
  }
  require(mode === "SAME_UPPER" || mode === "SAME_LOWER", `auto_pad "${mode}"`);
  const missing = (size: number, axis: 0 | 1) =>
    Math.max(0, (Math.ceil(size / stride[axis]) - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1 - size);
  const split = (total: number): Pair => {
    const small = Math.floor(total / 2);
    return mode === "SAME_UPPER" ? [small, total - small] : [total - small, small];
  };
  const [top, bottom] = split(missing(h!, 0));
  const [left, right] = split(missing(w!, 1));
  return { top, left, bottom, right };
}

const conv: Rule = (call) => {
  const x = image(call);
  const { dims } = call.constant(1);
  require(dims.length === 4, `a weight with ${dims.length} axes instead of 4`);
  const [outChannels, , kh, kw] = dims as [number, number, number, number];
  const kernel: Pair = [kh, kw];
  const stride = positivePair(call, "strides", [1, 1]);
  const dilation = positivePair(call, "dilations", [1, 1]);
  const groups = call.int("group", 1);
  require(groups >= 1 && dims[1]! * groups === x.shape[0], `${groups} groups of ${dims[1]} channels for an input of ${x.shape[0]}`);
  const hasBias = call.has(2);
  const params = { weight: call.weight(1, dims), ...(hasBias ? { bias: call.weight(2, [outChannels]) } : {}) };
  const padding = paddingOf(call, x.shape, kernel, stride, dilation);
  return call.emit("conv", [x.name], { outChannels, kernel, stride, padding, dilation, groups, hasBias }, { params });
};

const batchNorm: Rule = (call) => {
  const value = call.value(0);
  const shape = shapeOfValue(value);
  const params = Object.fromEntries(
    (["scale", "shift", "mean", "variance"] as const).map((role, i) => [role, call.weight(i + 1, [shape[0]!])]),
  );
  const attrs = { epsilon: call.float("epsilon", 1e-5), momentum: Number((1 - call.float("momentum", 0.9)).toPrecision(6)) };
  const x = call.plain(value);
  if (shape.length === 3) return call.emit("batchNorm", [x.name], attrs, { params });
  require(shape.length === 1, `an input with ${shape.length + 1} axes`);
  const raised = call.emit("reshape", [x.name], { shape: [shape[0]!, 1, 1] }, { suffix: "image" });
  return call.emit("flatten", [call.emit("batchNorm", [raised.base], attrs, { params, suffix: "norm" }).base], {});
};

/** A window's attributes; `ceil_mode` becomes padding at the end. */
function poolAttrs(call: Call, shape: SampleShape): OpAttrs["maxPool"] & { readonly extra: Pair } {
  const kernel = positivePair(call, "kernel_shape", []);
  const stride = positivePair(call, "strides", [1, 1]);
  require(call.ints("dilations", [1, 1]).every((n) => n === 1), "a dilated pooling window");
  const padding = paddingOf(call, shape, kernel, stride, [1, 1]);
  const extraOf = (size: number, before: number, after: number, axis: 0 | 1) => {
    const span = size + before + after - kernel[axis];
    const last = Math.ceil(span / stride[axis]) * stride[axis];
    // A window that would begin in the padding after the image is left out.
    return last >= size + before ? 0 : Math.max(0, last - span);
  };
  const isCeil = call.int("ceil_mode", 0) === 1;
  const extra: Pair = isCeil
    ? [extraOf(shape[1]!, padding.top, padding.bottom, 0), extraOf(shape[2]!, padding.left, padding.right, 1)]
    : [0, 0];
  return { kernel, stride, padding: { ...padding, bottom: padding.bottom + extra[0], right: padding.right + extra[1] }, extra };
}

const maxPool: Rule = (call) => {
  require(call.node.output.filter((name) => name !== "").length === 1, "the indices of the maxima");
  const x = image(call);
  const { extra: _, ...attrs } = poolAttrs(call, x.shape);
  return call.emit("maxPool", [x.name], attrs);
};

const averagePool: Rule = (call) => {
  const x = image(call);
  const { extra, ...attrs } = poolAttrs(call, x.shape);
  const countIncludesPadding = call.int("count_include_pad", 0) === 1;
  require(!countIncludesPadding || extra[0] + extra[1] === 0, "count_include_pad together with ceil_mode");
  return call.emit("averagePool", [x.name], { ...attrs, countIncludesPadding });
};

const globalMaxPool: Rule = (call) => {
  const x = image(call);
  const kernel: Pair = [x.shape[1]!, x.shape[2]!];
  return call.emit("maxPool", [x.name], { kernel, stride: [1, 1], padding: { top: 0, left: 0, bottom: 0, right: 0 } });
};

function inOrder(call: Call, value: Value): Value {
  const { name, shape } = call.plain(value);
  return plainValue(name, shape);
}

/** Whether the view walks whole channels on one axis and whole rows and columns on two others, in whatever order. */
function isAxisOrder({ view, baseShape }: Value): boolean {
  const axes = view.map((axis) => JSON.stringify(axis)).sort();
  const expected = plainValue("", baseShape).view.map((axis) => JSON.stringify(axis));
  return axes.join() === expected.sort().join();
}

/** Mean over the rows or the columns alone, as some write the mean over the pixels in two steps. */
function meanOfLines(call: Call, axis: number): Value {
  const { name, shape } = image(call);
  const kernel: Pair = axis === 1 ? [shape[1]!, 1] : [1, shape[2]!];
  const padding = { top: 0, left: 0, bottom: 0, right: 0 };
  const mean = call.emit("averagePool", [name], { kernel, stride: [1, 1], padding, countIncludesPadding: false });
  if (call.int("keepdims", 1) === 1) return mean;
  return call.viewed(
    mean,
    reshapeView(
      mean.view,
      shape.filter((_, i) => i !== axis),
    )!,
  );
}

/** Mean over the pixels, in whatever order the file has the axes. */
const reduceMean: Rule = (call) => {
  const given = call.value(0);
  const value = isAxisOrder(given) ? given : inOrder(call, given);
  const rank = shapeOfValue(value).length + 1;
  const axes = (call.listed("axes", 1) ?? []).map((axis) => (axis < 0 ? axis + rank : axis) - 1);
  if (axes.length === 1 && axes[0]! > 0) return meanOfLines(call, axes[0]!);
  const [channels] = value.baseShape;
  const channelAxis = JSON.stringify(plainValue("", value.baseShape).view[0]);
  const kept = value.view.filter((_, i) => !axes.includes(i));
  const isPixels = value.baseShape.length === 3 && axes.length === 2 && kept.length === 1 && JSON.stringify(kept[0]) === channelAxis;
  require(isPixels, "a mean over other axes than the pixels");
  const pooled = call.emit("globalAveragePool", [value.base], {});
  const channelsAlone = [{ size: channels!, stride: 1 }];
  const view = call.int("keepdims", 1) === 1 ? value.view.map((_, i) => (axes.includes(i) ? [] : channelsAlone)) : [channelsAlone];
  return { ...pooled, view };
};

/** y = alpha · x·W + beta · b; the weight's columns follow the order in which x is read. */
function linear(call: Call, transposed: boolean, alpha: number, beta: number): Value {
  const value = call.value(0);
  const shape = shapeOfValue(value);
  require(shape.length === 1, `an input with ${shape.length + 1} axes instead of [N,F]`);
  const { dims, data } = call.constant(1);
  require(dims.length === 2, `a weight with ${dims.length} axes instead of 2`);
  const [outFeatures, inputs] = transposed ? [dims[0]!, dims[1]!] : [dims[1]!, dims[0]!];
  require(inputs === shape[0], `a weight for ${inputs} features where the input has ${shape[0]}`);
  const isOrdered = isInOrder(value.view);
  let weight: string;
  if (transposed && isOrdered && alpha === 1) weight = call.weight(1, dims);
  else {
    const order = isOrdered ? null : viewIndices(value.view);
    const numbers = new Float32Array(outFeatures * inputs);
    for (let o = 0; o < outFeatures; o++) {
      for (let i = 0; i < inputs; i++) {
        numbers[o * inputs + (order ? order[i]! : i)] = alpha * Number(data[transposed ? o * inputs + i : i * outFeatures + o]);
      }
    }
    weight = call.newWeight("weight", { shape: [outFeatures, inputs], data: numbers });
  }
  const source = isOrdered ? value : { ...value, view: plainValue("", [inputs]).view };
  const x = call.plain(source);
  const hasBias = call.has(2);
  if (!hasBias) return call.emit("linear", [x.name], { outFeatures, hasBias }, { params: { weight } });
  const added = call.constant(2);
  const flat = added.data.length === outFeatures || added.data.length === 1;
  require(flat, `a bias of shape [${added.dims}]`);
  const isPlain = beta === 1 && added.data.length === outFeatures;
  const bias = isPlain
    ? call.weight(2, [outFeatures])
    : call.newWeight("bias", {
        shape: [outFeatures],
        data: Float32Array.from({ length: outFeatures }, (_, i) => beta * Number(added.data[added.data.length === 1 ? 0 : i])),
      });
  return call.emit("linear", [x.name], { outFeatures, hasBias }, { params: { weight, bias } });
}

const gemm: Rule = (call) => {
  require(call.int("transA", 0) === 0, "a transposed first operand");
  return linear(call, call.int("transB", 0) === 1, call.float("alpha", 1), call.float("beta", 1));
};

const lrn: Rule = (call) => {
  const attrs = {
    size: call.int("size", 0),
    alpha: call.float("alpha", 1e-4),
    beta: call.float("beta", 0.75),
    bias: call.float("bias", 1),
  };
  if (attrs.size < 1) throw new Unsupported(`a size of ${attrs.size}`);
  return call.emit("lrn", [image(call).name], attrs);
};

const softmax: Rule = (call) => {
  const x = call.plain(call.value(0));
  const axis = call.int("axis", call.opset >= 13 ? -1 : 1);
  if (x.shape.length === 3 && x.shape[1] === 1 && x.shape[2] === 1 && axis === 1) {
    const flat = call.emit("flatten", [x.name], {}, { suffix: "flat" });
    const soft = call.emit("softmax", [flat.base], {}, { suffix: "soft" });
    return call.emit("reshape", [soft.base], { shape: x.shape });
  }
  require(x.shape.length === 1, `an input with ${x.shape.length + 1} axes instead of [N,F] or [N,C,1,1]`);
  require(axis === 1 || axis === -1, `axis ${axis}`);
  return call.emit("softmax", [x.name], {});
};

export const layerRules: Readonly<Record<string, Rule>> = {
  Conv: conv,
  BatchNormalization: batchNorm,
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: (call) => call.emit("globalAveragePool", [image(call).name], {}),
  GlobalMaxPool: globalMaxPool,
  ReduceMean: reduceMean,
  Gemm: gemm,
  MatMul: (call) => linear(call, false, 1, 1),
  LRN: lrn,
  Softmax: softmax,
};
