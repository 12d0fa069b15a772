/** @file Maximum, average and global average pooling. */
import { assertShape } from "../../errors.ts";
import { ARG, type PoolAlgorithm, type PoolGeometry, PROP, QUERY } from "../../onednn/api.ts";
import { runtime } from "../../onednn/runtime.ts";
import { toActivation } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { activationLayout, describe, empty, free, type Tensor } from "../tensor.ts";
import { windowOutput } from "./convolution-plan.ts";

export interface PoolOptions {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };
}

function pool(tape: Tape | null, algorithm: PoolAlgorithm, x: Tensor, { kernel, stride, padding }: PoolOptions): Tensor {
  const engine = runtime();
  const { api } = engine;
  assertShape(x.shape.length === 4, () => `pool: x must have 4 axes, got ${describe(x)}`);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const { top, left, bottom, right } = padding;
  const shape = [n, c, windowOutput(h, kernel[0], stride[0], top, bottom), windowOutput(w, kernel[1], stride[1], left, right)];
  assertShape(shape[2]! > 0 && shape[3]! > 0, () => `pool: the window ${kernel} must fit into the padded input, got ${describe(x)}`);
  const src = toActivation(x);
  const layout = activationLayout(shape);
  const geometry: PoolGeometry = { kernel, strides: stride, dilations: [0, 0], paddingBefore: [top, left], paddingAfter: [bottom, right] };
  const requiresGrad = tape !== null && x.requiresGrad;
  const key = `pool|${algorithm}|${src.layout.id}|${kernel}|${stride}|${top},${left},${bottom},${right}|${requiresGrad}`;
  const plan = engine.cached(key, () => {
    const descriptor = api.poolForward(requiresGrad ? PROP.training : PROP.inference, algorithm, src.layout.desc, layout.desc, geometry);
    const workspace = requiresGrad && algorithm === "max" ? engine.adopt(api.queryDesc(descriptor, QUERY.workspace), shape) : null;
    return { forward: engine.compile(descriptor, `${algorithm} pooling`), workspace };
  });
  const y = empty(layout, { requiresGrad });
  const workspace = plan.workspace ? empty(plan.workspace) : null;
  if (workspace)
    engine.execute(
      plan.forward,
      [ARG.src, src.layout, src.block],
      [ARG.dst, layout, y.block],
      [ARG.workspace, workspace.layout, workspace.block],
    );
  else engine.execute(plan.forward, [ARG.src, src.layout, src.block], [ARG.dst, layout, y.block]);
  const srcLayout = src.layout;
  if (src !== x) free(src);
  if (tape && requiresGrad) {
    tape.record({
      inputs: [x],
      output: y,
      saved: workspace ? [workspace] : [],
      backward: (dy) => {
        const back = engine.cached(`${key}|back`, () =>
          engine.compile(
            api.poolBackward(algorithm, srcLayout.desc, layout.desc, geometry, plan.forward.descriptor),
            `the gradient of ${algorithm} pooling`,
          ),
        );
        const dx = empty(srcLayout, { shape: x.shape });
        if (workspace)
          engine.execute(
            back,
            [ARG.diffDst, layout, dy.block],
            [ARG.workspace, workspace.layout, workspace.block],
            [ARG.diffSrc, srcLayout, dx.block],
          );
        else engine.execute(back, [ARG.diffDst, layout, dy.block], [ARG.diffSrc, srcLayout, dx.block]);
        return [dx];
      },
    });
  }
  return y;
}

/** Largest value of each window; ties give the gradient to the first. x [N, C, H, W]. */
export const maxPool = (tape: Tape | null, x: Tensor, options: PoolOptions): Tensor => pool(tape, "max", x, options);

/** Mean of each window, over all cells or only those inside the input. x [N, C, H, W]. */
export const averagePool = (tape: Tape | null, x: Tensor, options: PoolOptions & { readonly countIncludesPadding: boolean }): Tensor =>
  pool(tape, options.countIncludesPadding ? "averageWithPadding" : "averageWithoutPadding", x, options);

/** Mean over H×W: [N, C, H, W] → [N, C, 1, 1]. */
export function globalAveragePool(tape: Tape | null, x: Tensor): Tensor {
  const kernel = [x.shape[2]!, x.shape[3]!] as const;
  return pool(tape, "averageWithoutPadding", x, { kernel, stride: [1, 1], padding: { top: 0, left: 0, bottom: 0, right: 0 } });
}
