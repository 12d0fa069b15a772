/** @file Import of activations and of sums and products, with constants or between values. */
import type { NodeOf, OpAttrs, OpType } from "../../graph/types.ts";
import { type Call, require, shapeOfValue, type Value } from "./context.ts";
import type { Rule } from "./rules-layers.ts";
import type { Constant } from "./tensors.ts";
import { isSameView } from "./view.ts";

/** The most negative float32, ONNX's bound of a Clip that has none. */
const LOWEST = -3.4028234663852886e38;

/** An operator that treats every number alike, however the value is read. */
function each<K extends OpType>(call: Call, value: Value, op: K, attrs: OpAttrs[K], suffix = ""): Value {
  return { ...value, base: call.emit(op, [value.base], attrs, { suffix }).base };
}
const unary =
  <K extends OpType>(op: K, attrs: OpAttrs[K]): Rule =>
  (call) =>
    each(call, call.value(0), op, attrs);

const scalar = (constant: Constant | null): number | null => (constant?.data.length === 1 ? Number(constant.data[0]) : null);

function clip(call: Call, value: Value, min: number | null, max: number | null): Value {
  if (min === 0 && (max === null || max >= -LOWEST)) return each(call, value, "relu", {});
  return each(call, value, "clip", { min: min ?? LOWEST, max: max ?? -LOWEST });
}

const clipRule: Rule = (call) => {
  const bound = (attribute: string, input: number) => {
    if (call.opset < 11) {
      const found = call.float(attribute, Number.NaN);
      return Number.isNaN(found) ? null : found;
    }
    if (!call.has(input)) return null;
    const value = scalar(call.constant(input));
    require(value !== null, "bounds that are not single numbers");
    return value;
  };
  return clip(call, call.value(0), bound("min", 1), bound("max", 2));
};

const hardSigmoid: Rule = (call) => {
  const [alpha, beta] = [call.float("alpha", 0.2), call.float("beta", 0.5)];
  const value = call.value(0);
  if (Math.abs(alpha - 1 / 6) < 1e-6 && beta === 0.5) return each(call, value, "hardSigmoid", {});
  return each(call, each(call, value, "affine", { scale: alpha, shift: beta }, "scaled"), "clip", { min: 0, max: 1 });
};

const leaky = (call: Call, slope: number): Value => {
  require(slope >= 0, "a negative slope");
  return slope === 0 ? each(call, call.value(0), "relu", {}) : each(call, call.value(0), "leakyRelu", { slope });
};
const parametricRelu: Rule = (call) => {
  const slope = scalar(call.constant(1));
  require(slope !== null, "one slope per channel");
  return leaky(call, slope);
};

/** Numbers per channel of a constant that is spread over the pixels. @throws Unsupported for any other broadcast */
function perChannel({ dims, data }: Constant, value: Value): Float32Array {
  const shape = shapeOfValue(value);
  const wide = dims.flatMap((size, i) => (size === 1 ? [] : [{ size, axis: i - dims.length + shape.length }]));
  const [channels = 0, ...pixels] = value.baseShape;
  const stride = pixels.reduce((product, n) => product * n, 1);
  const axis = wide.length === 1 ? value.view[wide[0]!.axis] : undefined;
  const isChannels = axis?.length === 1 && axis[0]!.size === channels && axis[0]!.stride === stride && wide[0]!.size === channels;
  require(isChannels, `a constant [${dims}] that is not one number per channel`);
  return Float32Array.from(data as ArrayLike<number>, Number);
}

/** scale · x + shift per channel, as a 1×1 depthwise convolution; a shift alone joins the layer before as its bias. */
function channelAffine(call: Call, input: number, value: Value, scale: Float32Array | null, shift: Float32Array | null): Value {
  const [channels] = value.baseShape as [number];
  const producer = call.soleProducer(input);
  if (!scale && (producer?.op === "conv" || producer?.op === "linear") && !producer.attrs.hasBias && producer.name === value.base) {
    const bias = call.newWeight("bias", { shape: [channels], data: shift! });
    const node = { ...producer, params: { ...producer.params, bias }, attrs: { ...producer.attrs, hasBias: true } };
    call.replace(node as NodeOf<"conv"> | NodeOf<"linear">);
    return value;
  }
  const weight = call.newWeight("scale", { shape: [channels, 1, 1, 1], data: scale ?? new Float32Array(channels).fill(1) });
  const none = { top: 0, left: 0, bottom: 0, right: 0 };
  const attrs = {
    outChannels: channels,
    kernel: [1, 1],
    stride: [1, 1],
    padding: none,
    dilation: [1, 1],
    groups: channels,
    hasBias: shift !== null,
  } as const;
  // a scale alone leaves room for the shift after it
  const params = { weight, ...(shift ? { bias: call.newWeight("shift", { shape: [channels], data: shift }) } : {}) };
  if (value.baseShape.length === 3) return { ...value, base: call.emit("conv", [value.base], attrs, { params }).base };
  const raised = call.emit("reshape", [value.base], { shape: [channels, 1, 1] }, { suffix: "image" });
  const scaled = call.emit("conv", [raised.base], attrs, { params, suffix: "conv" });
  return { ...value, base: call.emit("flatten", [scaled.base], {}).base };
}

type Arithmetic = "Add" | "Sub" | "Mul" | "Div";

/** x ∘ constant, or constant ∘ x when `input` is 1. */
function withConstant(call: Call, op: Arithmetic, constant: Constant, input: 0 | 1): Value {
  const value = call.value(input);
  require(op !== "Div" || input === 0, "a constant divided by a value");
  const one = scalar(constant);
  const negative = op === "Sub" && input === 1;
  if (one !== null) {
    const isSum = op === "Add" || op === "Sub";
    const scale = isSum ? (negative ? -1 : 1) : op === "Mul" ? one : 1 / one;
    const shift = isSum ? (op === "Sub" && !negative ? -one : one) : 0;
    return scale === 1 && shift === 0 ? value : each(call, value, "affine", { scale, shift });
  }
  const numbers = perChannel(constant, value);
  if (op === "Mul") return channelAffine(call, input, value, numbers, null);
  if (op === "Div")
    return channelAffine(
      call,
      input,
      value,
      numbers.map((n) => 1 / n),
      null,
    );
  const scale = negative ? new Float32Array(numbers.length).fill(-1) : null;
  return channelAffine(call, input, value, scale, op === "Sub" && !negative ? numbers.map((n) => -n) : numbers);
}

/** Sum or product of two values. */
function between(call: Call, op: "add" | "mul", a: Value, b: Value, suffix = ""): Value {
  if (a.baseShape.join() === b.baseShape.join() && isSameView(a.view, b.view)) {
    return { ...a, base: call.emit(op, [a.base, b.base], {}, { suffix }).base };
  }
  const [x, y] = [call.plain(a), call.plain(b)];
  if (x.shape.join() === y.shape.join()) return call.emit(op, [x.name, y.name], {}, { suffix });
  const isSpread = (of: readonly number[], over: readonly number[]) =>
    of.length === 3 && over.length === 3 && `${of}` === `${[over[0], 1, 1]}`;
  if (op === "mul" && isSpread(y.shape, x.shape)) return call.emit(op, [x.name, y.name], {}, { suffix });
  if (op === "mul" && isSpread(x.shape, y.shape)) return call.emit(op, [y.name, x.name], {}, { suffix });
  require(false, `a broadcast of [${x.shape}] with [${y.shape}]`);
}

const arithmetic =
  (op: Arithmetic): Rule =>
  (call) => {
    const [first, second] = [call.maybeConstant(0), call.maybeConstant(1)];
    if (second) return withConstant(call, op, second, 0);
    if (first) return withConstant(call, op, first, 1);
    if (op === "Sub") return between(call, "add", call.value(0), each(call, call.value(1), "affine", { scale: -1, shift: 0 }, "negative"));
    require(op !== "Div", "a quotient of two values");
    return between(call, op === "Add" ? "add" : "mul", call.value(0), call.value(1));
  };

const sum: Rule = (call) => {
  const values = call.node.input.map((_, i) => call.value(i));
  return values
    .slice(1)
    .reduce((total, value, i) => between(call, "add", total, value, i === values.length - 2 ? "" : `sum${i}`), values[0]!);
};

const bounded =
  (side: "min" | "max"): Rule =>
  (call) => {
    const at = call.maybeConstant(0) ? 0 : 1;
    const bound = scalar(call.constant(at));
    require(bound !== null && call.node.input.length === 2, "bounds that are not single numbers");
    const value = call.value(1 - at);
    return side === "max" ? clip(call, value, bound, null) : clip(call, value, null, bound);
  };

const identity: Rule = (call) => call.value(0);

export const elementwiseRules: Readonly<Record<string, Rule>> = {
  Relu: unary("relu", {}),
  Sigmoid: unary("sigmoid", {}),
  HardSwish: unary("hardSwish", {}),
  HardSigmoid: hardSigmoid,
  LeakyRelu: (call) => leaky(call, call.float("alpha", 0.01)),
  PRelu: parametricRelu,
  Clip: clipRule,
  Min: bounded("min"),
  Max: bounded("max"),
  Neg: unary("affine", { scale: -1, shift: 0 }),
  Add: arithmetic("Add"),
  Sub: arithmetic("Sub"),
  Mul: arithmetic("Mul"),
  Div: arithmetic("Div"),
  Sum: sum,
  Identity: identity,
  Cast: (call) => {
    const to = call.int("to", 1);
    require(to === 1, `a cast to element type ${to}`);
    return call.value(0);
  },
  Dropout: (call) =>
    each(call, call.value(0), "dropout", { rate: call.has(1) ? Number(call.constant(1).data[0]) : call.float("ratio", 0.5) }),
};
