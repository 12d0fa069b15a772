/** @file Builds graphs node by node; a value is named by the node that makes it. */
import { AppError } from "../errors.ts";
import { paramShapes } from "./params.ts";
import { shapeOf } from "./shapes.ts";
import type { Graph, Node, NodeOf, OpAttrs, OpType, ParamRole, SampleShape } from "./types.ts";

export type ActivationName = "relu" | "relu6" | "hardSwish" | "sigmoid" | "hardSigmoid";
type ActivationOp = { [K in OpType]: { readonly op: K; readonly attrs: OpAttrs[K] } }[OpType];

const ACTIVATIONS: Record<ActivationName, ActivationOp> = {
  relu: { op: "relu", attrs: {} },
  relu6: { op: "clip", attrs: { min: 0, max: 6 } },
  hardSwish: { op: "hardSwish", attrs: {} },
  sigmoid: { op: "sigmoid", attrs: {} },
  hardSigmoid: { op: "hardSigmoid", attrs: {} },
};

export interface ConvSettings {
  readonly outChannels: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
  /** Pixels on each side (default k >> 1, which keeps the extent at stride 1). */
  readonly padding?: number;
  readonly dilation?: number;
  readonly bias?: boolean;
  readonly name: string;
}
export interface MbconvSettings {
  readonly name: string;
  readonly outChannels: number;
  /** Expansion ratio; the hidden width is round(channels · expand). 1 leaves the expanding convolution out. */
  readonly expand: number;
  readonly kernel: number;
  readonly stride: number;
  readonly activation?: ActivationName;
  /** Add the input back (default: stride 1 and equal channels). */
  readonly residual?: boolean;
  /** Keep the expanding convolution when expand is 1. */
  readonly alwaysExpand?: boolean;
}
export interface BuilderSettings {
  readonly name: string;
  readonly input: SampleShape;
  /** Put before every node's and parameter's name (default ""). */
  readonly prefix?: string;
  readonly inputName?: string;
  readonly norm?: OpAttrs["batchNorm"];
}

export type GraphBuilder = ReturnType<typeof createBuilder>;

/** Methods append one node (or a small group) and return its value's name. Parameters are called `<node>.<role>`. */
export function createBuilder({
  name: graphName,
  input,
  prefix = "",
  inputName = "input",
  norm = { epsilon: 1e-5, momentum: 0.1 },
}: BuilderSettings) {
  const nodes: Node[] = [];
  const shapes = new Map<string, SampleShape>([[inputName, input]]);
  const shape = (value: string): SampleShape => {
    const found = shapes.get(value);
    if (!found) throw new AppError("INTERNAL", `internal: the builder of ${graphName} has no value "${value}"`);
    return found;
  };
  const append = <K extends OpType>(op: K, name: string, inputs: readonly string[], attrs: OpAttrs[K]): string => {
    const full = prefix + name;
    const bare = { name: full, op, inputs, params: {}, attrs } as NodeOf<K> as Node;
    const params: Partial<Record<ParamRole, string>> = {};
    for (const role of Object.keys(paramShapes(bare, shape(inputs[0]!))) as ParamRole[]) params[role] = `${full}.${role}`;
    const node = { ...bare, params } as Node;
    if (shapes.has(full)) throw new AppError("INTERNAL", `internal: the builder of ${graphName} has two values "${full}"`);
    shapes.set(full, shapeOf(node, inputs.map(shape)));
    nodes.push(node);
    return full;
  };
  const conv = (x: string, s: ConvSettings): string => {
    const { outChannels, kernel, stride = 1, groups = 1, padding = kernel >> 1, dilation = 1, bias = false } = s;
    return append("conv", s.name, [x], {
      outChannels,
      kernel: [kernel, kernel],
      stride: [stride, stride],
      padding: { top: padding, left: padding, bottom: padding, right: padding },
      dilation: [dilation, dilation],
      groups,
      hasBias: bias,
    });
  };
  const activation = (x: string, kind: ActivationName, name: string): string => {
    const { op, attrs } = ACTIVATIONS[kind];
    return append(op, name, [x], attrs);
  };
  const convBn = (x: string, settings: ConvSettings & { readonly activation?: ActivationName | null }): string => {
    const { name } = settings;
    const y = append("batchNorm", `${name}.bn`, [conv(x, { ...settings, name: `${name}.conv` })], norm);
    return settings.activation ? activation(y, settings.activation, `${name}.act`) : y;
  };
  const pool = (kernel: number, stride: number, padding: number) => ({
    kernel: [kernel, kernel] as const,
    stride: [stride, stride] as const,
    padding: { top: padding, left: padding, bottom: padding, right: padding },
  });
  return {
    shape,
    /** One node of any operator. */
    append,
    input: inputName,
    conv,
    convBn,
    activation,
    batchNorm: (x: string, name: string): string => append("batchNorm", name, [x], norm),
    add: (a: string, b: string, name: string): string => append("add", name, [a, b], {}),
    mul: (a: string, b: string, name: string): string => append("mul", name, [a, b], {}),
    concat: (inputs: readonly string[], name: string): string => append("concat", name, inputs, {}),
    maxPool: (x: string, s: { kernel: number; stride: number; padding?: number; name: string }): string =>
      append("maxPool", s.name, [x], pool(s.kernel, s.stride, s.padding ?? 0)),
    averagePool: (x: string, s: { kernel: number; stride: number; padding?: number; name: string }): string =>
      append("averagePool", s.name, [x], { ...pool(s.kernel, s.stride, s.padding ?? 0), countIncludesPadding: false }),
    globalAveragePool: (x: string, name: string): string => append("globalAveragePool", name, [x], {}),
    padChannels: (x: string, after: number, name: string): string => append("padChannels", name, [x], { after }),
    flatten: (x: string, name: string): string => append("flatten", name, [x], {}),
    dropout: (x: string, rate: number, name: string): string => append("dropout", name, [x], { rate }),
    linear: (x: string, s: { outFeatures: number; bias?: boolean; name: string }): string =>
      append("linear", s.name, [x], { outFeatures: s.outFeatures, hasBias: s.bias ?? true }),
    /** Inverted residual: 1×1 expand, k×k depthwise, 1×1 project (linear). Paper: Sandler et al. 2018, arXiv:1801.04381, fig. 3. */
    mbconv: (x: string, s: MbconvSettings): string => {
      const { name, outChannels, kernel, stride, activation: act = "relu6", residual } = s;
      const channels = shape(x)[0]!;
      const hidden = Math.round(channels * s.expand);
      const expanded =
        s.expand === 1 && !s.alwaysExpand ? x : convBn(x, { name: `${name}.expand`, outChannels: hidden, kernel: 1, activation: act });
      const spatial = convBn(expanded, { name: `${name}.depthwise`, outChannels: hidden, kernel, stride, groups: hidden, activation: act });
      const y = convBn(spatial, { name: `${name}.project`, outChannels, kernel: 1 });
      return (residual ?? (stride === 1 && channels === outChannels)) ? append("add", `${name}.add`, [x, y], {}) : y;
    },
    /** The classifier of most networks here: global average pool, optional dropout, linear. */
    classifier: (x: string, s: { classes: number; dropout?: number }): string => {
      const pooled = append("flatten", "flatten", [append("globalAveragePool", "pool", [x], {})], {});
      const kept = s.dropout ? append("dropout", "dropout", [pooled], { rate: s.dropout }) : pooled;
      return append("linear", "classifier", [kept], { outFeatures: s.classes, hasBias: true });
    },
    build: (output: string): Graph => ({ name: graphName, input: { name: inputName, shape: input }, nodes: [...nodes], output }),
  };
}
