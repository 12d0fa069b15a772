/** @file Runs a graph on tensors, noting gradients when there is a tape. */
import { AppError, invariant } from "../errors.ts";
import type { Graph, Node, NodeOf, OpType, ParamRole } from "../graph/types.ts";
import * as activation from "../tensor/ops/activation.ts";
import { batchNorm } from "../tensor/ops/batch-norm.ts";
import { channelShuffle, lrn, pad, sliceChannels } from "../tensor/ops/channels.ts";
import { add, concat, mul, padChannels } from "../tensor/ops/combine.ts";
import { conv2d } from "../tensor/ops/convolution.ts";
import { dropout, flatten, linear, reshape, softmax } from "../tensor/ops/features.ts";
import { isFusionWorthwhile, pointwiseNorm } from "../tensor/ops/pointwise-norm.ts";
import { averagePool, globalAveragePool, maxPool } from "../tensor/ops/pooling.ts";
import { quantize } from "../tensor/ops/quantize.ts";
import type { Tape } from "../tensor/tape.ts";
import { free, type Tensor } from "../tensor/tensor.ts";
import type { Rng } from "../util/rng.ts";
import type { ParameterStore } from "./parameters.ts";
import { type NodePlan, planOf } from "./plan.ts";

export interface RunOptions {
  /** Records gradients; null for inference. */
  readonly tape: Tape | null;
  /** "train": batch statistics that move the running ones, dropout on. "batch": batch statistics only. "eval": running statistics. */
  readonly mode: "train" | "batch" | "eval";
  /** For dropout; needed in mode "train" when the graph has any. */
  readonly rng?: Rng;
  /** Sees what each node reads, right before it is computed; a clip that its convolution will apply has not been applied yet. */
  readonly onInputs?: (node: Node, inputs: readonly Tensor[]) => void;
}

interface Call<K extends OpType> {
  readonly node: NodeOf<K>;
  readonly inputs: readonly Tensor[];
  readonly plan: NodePlan;
  readonly options: RunOptions;
  readonly params: ParameterStore;
  /** Results that were clipped by the op that made them, ahead of the clip node. */
  readonly clipped: Set<Tensor>;
  param(role: ParamRole): Tensor;
}
type Kernel<K extends OpType> = (call: Call<K>) => Tensor;

const kernels: { [K in OpType]: Kernel<K> } = {
  conv: ({ node, inputs: [x], options, param, plan, clipped }) => {
    const clip = plan.clipInput && { ...plan.clipInput, isDone: clipped.has(x!) };
    return conv2d(options.tape, x!, param("weight"), node.attrs.hasBias ? param("bias") : null, node.attrs, clip);
  },
  batchNorm: ({ node, inputs: [x], options, param, params, plan, clipped }) => {
    const state = { scale: param("scale"), shift: param("shift"), mean: param("mean"), variance: param("variance") };
    const useBatchStatistics = options.mode !== "eval";
    const normOptions = { ...node.attrs, useBatchStatistics, updateRunning: options.mode === "train", fuseRelu: plan.fusesRelu };
    if (!plan.convolution) return batchNorm(options.tape, x!, state, normOptions);
    const weight = params.get(plan.convolution.params.weight!);
    if (useBatchStatistics && isFusionWorthwhile(x!.shape, weight.shape)) {
      const fused = pointwiseNorm(options.tape, x!, weight, state, normOptions, plan.clipOutput);
      if (plan.clipOutput) clipped.add(fused);
      return fused;
    }
    const y = conv2d(options.tape, x!, weight, null, plan.convolution.attrs);
    const normalised = batchNorm(options.tape, y, state, normOptions);
    if (!options.tape) free(y);
    return normalised;
  },
  relu: ({ inputs: [x], options, plan }) => activation.relu(options.tape, x!, plan),
  clip: ({ node, inputs: [x], options, plan }) => activation.clip(options.tape, x!, node.attrs.min, node.attrs.max, plan),
  leakyRelu: ({ node, inputs: [x], options, plan }) => activation.leakyRelu(options.tape, x!, node.attrs.slope, plan),
  hardSwish: ({ inputs: [x], options }) => activation.hardSwish(options.tape, x!),
  sigmoid: ({ inputs: [x], options, plan }) => activation.sigmoid(options.tape, x!, plan),
  hardSigmoid: ({ inputs: [x], options }) => activation.hardSigmoid(options.tape, x!),
  affine: ({ node, inputs: [x], options }) => activation.affine(options.tape, x!, node.attrs.scale, node.attrs.shift),
  add: ({ inputs: [a, b], options }) => add(options.tape, a!, b!),
  mul: ({ inputs: [a, b], options }) => mul(options.tape, a!, b!),
  concat: ({ inputs, options }) => concat(options.tape, inputs),
  maxPool: ({ node, inputs: [x], options }) => maxPool(options.tape, x!, node.attrs),
  averagePool: ({ node, inputs: [x], options }) => averagePool(options.tape, x!, node.attrs),
  globalAveragePool: ({ inputs: [x], options }) => globalAveragePool(options.tape, x!),
  padChannels: ({ node, inputs: [x], options }) => padChannels(options.tape, x!, node.attrs.after),
  pad: ({ node, inputs: [x], options }) => pad(options.tape, x!, node.attrs),
  sliceChannels: ({ node, inputs: [x], options }) => sliceChannels(options.tape, x!, node.attrs.start, node.attrs.count),
  channelShuffle: ({ node, inputs: [x], options }) => channelShuffle(options.tape, x!, node.attrs.groups),
  lrn: ({ node, inputs: [x], options }) => lrn(options.tape, x!, node.attrs),
  linear: ({ node, inputs: [x], options, param }) => linear(options.tape, x!, param("weight"), node.attrs.hasBias ? param("bias") : null),
  flatten: ({ inputs: [x], options }) => flatten(options.tape, x!),
  reshape: ({ node, inputs: [x], options }) => reshape(options.tape, x!, [x!.shape[0]!, ...node.attrs.shape]),
  softmax: ({ inputs: [x], options }) => softmax(options.tape, x!),
  dropout: ({ node, inputs: [x], options }) => {
    if (options.mode !== "train" || node.attrs.rate === 0) return x!;
    invariant(options.rng, "dropout needs an rng");
    return dropout(options.tape, x!, node.attrs.rate, options.rng);
  },
  quantize: ({ node, inputs: [x], options, param }) => quantize(options.tape, x!, param("range"), node.attrs),
  opaque: ({ node }) => {
    throw new AppError("ONNX", `graph: every node must be one that Fettle can compute, got ${node.attrs.opType} "${node.name}"`);
  },
};

/**
 * Computes the graph's output for a batch.
 *
 * @param x [N, ...graph.input.shape]
 * @returns the output with its batch axis, in the activation layout (features: plain)
 */
export function run(graph: Graph, params: ParameterStore, x: Tensor, options: RunOptions): Tensor {
  const plan = planOf(graph);
  const values = new Map<string, Tensor>([[graph.input.name, x]]);
  const uses = new Map<Tensor, number>();
  const clipped = new Set<Tensor>();
  const keep = (name: string, tensor: Tensor) => {
    values.set(name, tensor);
    uses.set(tensor, (uses.get(tensor) ?? 0) + 1);
  };
  for (const [i, node] of graph.nodes.entries()) {
    const nodePlan = plan[i]!;
    const inputs = node.inputs.map((name) => values.get(name)!);
    options.onInputs?.(node, inputs);
    const call = { node, inputs, plan: nodePlan, options, params, clipped, param: (role: ParamRole) => params.get(node.params[role]!) };
    const y = nodePlan.isFusedAway ? inputs[0]! : (kernels[node.op] as Kernel<OpType>)(call as Call<OpType>);
    keep(node.name, y);
    if (options.tape) continue;
    for (const name of nodePlan.dying) {
      const tensor = values.get(name)!;
      if (tensor === x) continue;
      const rest = uses.get(tensor)! - 1;
      uses.set(tensor, rest);
      if (rest === 0) free(tensor);
    }
  }
  return values.get(graph.output)!;
}
