/** @file Batch normalisation over N, H, W, optionally fused with ReLU. */
import { assertShape } from "../../errors.ts";
import { ARG, type NormFlags, PROP, QUERY } from "../../onednn/api.ts";
import { type Layout, runtime } from "../../onednn/runtime.ts";
import { toActivation } from "../layout.ts";
import { isExclusive, type Tape } from "../tape.ts";
import { describe, empty, free, plainLayout, type Tensor, valuesOf } from "../tensor.ts";

export interface BatchNormState {
  /** [C] multiplies the normalised value. */
  readonly scale: Tensor;
  /** [C] is added to it. */
  readonly shift: Tensor;
  /** [C] running mean and variance: used in evaluation, updated in training. */
  readonly mean: Tensor;
  readonly variance: Tensor;
}
export interface BatchNormOptions {
  readonly epsilon: number;
  /** Weight of the new batch in the running statistics, 0…1. */
  readonly momentum: number;
  /** Normalise by the batch's own statistics. */
  readonly useBatchStatistics: boolean;
  /** Also move the running statistics (only with batch statistics). */
  readonly updateRunning: boolean;
  /** Apply max(·, 0) in the same pass. */
  readonly fuseRelu: boolean;
}

function makePlan(data: Layout, epsilon: number, flags: NormFlags, isTraining: boolean) {
  const engine = runtime();
  const { api } = engine;
  const descriptor = api.normForward(isTraining ? PROP.training : PROP.inference, data.desc, epsilon, flags);
  const forward = engine.compile(descriptor, `batch normalisation of [${data.dims}]`);
  const workspace = isTraining && flags.fuseRelu ? engine.adopt(api.queryDesc(descriptor, QUERY.workspace), data.dims) : null;
  return { forward, workspace };
}

/**
 * y = scale · (x − μ) / √(σ² + ε) + shift with μ, σ² of the batch (biased variance) or the running ones.
 * Running statistics move by `momentum` towards the batch's mean and unbiased variance, as in PyTorch.
 *
 * @param x [N, C, H, W]
 * @throws AppError SHAPE when a parameter is not [C]
 * Paper: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.
 */
export function batchNorm(tape: Tape | null, x: Tensor, state: BatchNormState, options: BatchNormOptions): Tensor {
  const engine = runtime();
  assertShape(x.shape.length === 4, () => `batchNorm: x must have 4 axes, got ${describe(x)}`);
  const channels = x.shape[1]!;
  for (const [role, tensor] of Object.entries(state) as [string, Tensor][]) {
    assertShape(
      tensor.shape.length === 1 && tensor.shape[0] === channels,
      () => `batchNorm: ${role} must be f32[${channels}] to match x ${describe(x)}, got ${describe(tensor)}`,
    );
  }
  const { epsilon, useBatchStatistics, fuseRelu } = options;
  const flags: NormFlags = { globalStats: !useBatchStatistics, fuseRelu };
  const src = toActivation(x);
  const data = src.layout;
  const isTraining = tape !== null || useBatchStatistics;
  const key = `norm|${data.id}|${epsilon}|${useBatchStatistics}|${fuseRelu}|${isTraining}`;
  const plan = engine.cached(key, () => makePlan(data, epsilon, flags, isTraining));
  const statistics = plainLayout([channels]);
  const mean = useBatchStatistics ? empty(statistics) : state.mean;
  const variance = useBatchStatistics ? empty(statistics) : state.variance;
  const workspace = plan.workspace ? empty(plan.workspace) : null;
  const y = empty(data, { requiresGrad: tape !== null && (x.requiresGrad || state.scale.requiresGrad) });
  engine.execute(
    plan.forward,
    [ARG.src, data, src.block],
    [ARG.dst, data, y.block],
    [ARG.mean, statistics, mean.block],
    [ARG.variance, statistics, variance.block],
    [ARG.scale, statistics, state.scale.block],
    [ARG.shift, statistics, state.shift.block],
    ...(workspace ? [[ARG.workspace, workspace.layout, workspace.block] as const] : []),
  );
  if (useBatchStatistics && options.updateRunning)
    updateRunning(state, valuesOf(mean), valuesOf(variance), x.shape[0]! * x.shape[2]! * x.shape[3]!, options.momentum);

  const own = [...(useBatchStatistics ? [mean, variance] : []), ...(workspace ? [workspace] : []), ...(src === x ? [] : [src])];
  if (!tape || !y.requiresGrad) {
    for (const tensor of own) free(tensor);
    return y;
  }
  tape.record({
    inputs: [x, state.scale, state.shift],
    output: y,
    saved: own,
    backward: (dy) => {
      const back = engine.cached(`${key}|back`, () =>
        engine.compile(
          engine.api.normBackward(data.desc, data.desc, epsilon, flags, plan.forward.descriptor),
          "batch normalisation's gradient",
        ),
      );
      const inPlace = isExclusive(dy);
      const dx = inPlace ? dy : empty(data);
      const dscale = empty(statistics);
      const dshift = empty(statistics);
      engine.execute(
        back,
        [ARG.src, data, src.block],
        [ARG.mean, statistics, mean.block],
        [ARG.variance, statistics, variance.block],
        [ARG.diffDst, data, dy.block],
        [ARG.scale, statistics, state.scale.block],
        [ARG.diffSrc, data, dx.block],
        [ARG.diffScale, statistics, dscale.block],
        [ARG.diffShift, statistics, dshift.block],
        ...(engine.api.normGradientTakesShift ? [[ARG.shift, statistics, state.shift.block] as const] : []),
        ...(workspace ? [[ARG.workspace, workspace.layout, workspace.block] as const] : []),
      );
      return [dx, dscale, dshift];
    },
  });
  return y;
}

/** Moves the running statistics towards a batch's mean [C] and biased variance [C] of `count` values per channel. */
export function updateRunning(
  state: BatchNormState,
  mean: ArrayLike<number>,
  variance: ArrayLike<number>,
  count: number,
  momentum: number,
): void {
  const unbiased = count > 1 ? count / (count - 1) : 1;
  blend(valuesOf(state.mean), mean, momentum, 1);
  blend(valuesOf(state.variance), variance, momentum, unbiased);
}

function blend(running: Float32Array, batch: ArrayLike<number>, momentum: number, factor: number): void {
  for (let i = 0; i < running.length; i++) running[i] = (1 - momentum) * running[i]! + momentum * factor * batch[i]!;
}
