/** @file Element-wise activations. */
import { ARG, type EltwiseAlgorithm, USES_RESULT } from "../../onednn/api.ts";
import { type Layout, type Primitive, runtime } from "../../onednn/runtime.ts";
import { isExclusive, type Tape } from "../tape.ts";
import { empty, type Tensor, view } from "../tensor.ts";

export interface ActivationOptions {
  /**
   * Write the result over the argument. Allowed when nothing else reads the argument and when the op that made it does not need
   * it for its own gradient. Ignored for functions whose gradient needs the argument.
   */
  readonly inPlace?: boolean;
}

interface Plan {
  readonly forward: Primitive;
  readonly backward: Primitive;
}

function makePlan(algorithm: EltwiseAlgorithm, layout: Layout, alpha: number, beta: number): Plan {
  const engine = runtime();
  const forward = engine.compile(engine.api.eltwiseForward(algorithm, layout.desc, alpha, beta), algorithm);
  const back = engine.api.eltwiseBackward(algorithm, layout.desc, layout.desc, alpha, beta, forward.descriptor);
  return { forward, backward: engine.compile(back, `the gradient of ${algorithm}`) };
}

function elementWise(
  tape: Tape | null,
  algorithm: EltwiseAlgorithm,
  x: Tensor,
  alpha: number,
  beta: number,
  { inPlace = false }: ActivationOptions = {},
): Tensor {
  const engine = runtime();
  const { layout } = x;
  const plan = engine.cached(`eltwise|${algorithm}|${layout.id}|${alpha}|${beta}`, () => makePlan(algorithm, layout, alpha, beta));
  const fromResult = USES_RESULT[algorithm];
  const requiresGrad = tape !== null && x.requiresGrad;
  const y =
    inPlace && (fromResult || !requiresGrad) ? view(x, x.shape, layout, requiresGrad) : empty(layout, { shape: x.shape, requiresGrad });
  engine.execute(plan.forward, [ARG.src, layout, x.block], [ARG.dst, layout, y.block]);
  if (tape && requiresGrad) {
    tape.record({
      inputs: [x],
      output: y,
      saved: [],
      backward: (dy) => {
        const dx = isExclusive(dy) ? dy : empty(layout, { shape: x.shape });
        const data = fromResult ? y : x;
        engine.execute(
          plan.backward,
          [fromResult ? ARG.dst : ARG.src, layout, data.block],
          [ARG.diffDst, layout, dy.block],
          [ARG.diffSrc, layout, dx.block],
        );
        return [dx];
      },
    });
  }
  return y;
}

/** max(x, 0); derivative 0 at 0. */
export const relu = (tape: Tape | null, x: Tensor, options?: ActivationOptions): Tensor => elementWise(tape, "relu", x, 0, 0, options);

/** x for x > 0, slope·x otherwise; slope ≥ 0. */
export const leakyRelu = (tape: Tape | null, x: Tensor, slope: number, options?: ActivationOptions): Tensor =>
  elementWise(tape, "relu", x, slope, 0, options);

/** min(max(x, low), high); derivative 1 strictly between the bounds. ReLU6 is clip(0, 6). */
export const clip = (tape: Tape | null, x: Tensor, low: number, high: number, options?: ActivationOptions): Tensor =>
  elementWise(tape, "clip", x, low, high, options);

/** 1 / (1 + e^−x). */
export const sigmoid = (tape: Tape | null, x: Tensor, options?: ActivationOptions): Tensor =>
  elementWise(tape, "logistic", x, 0, 0, options);

/** x · clip(x + 3, 0, 6) / 6. */
export const hardSwish = (tape: Tape | null, x: Tensor, options?: ActivationOptions): Tensor =>
  elementWise(tape, "hardSwish", x, 0, 0, options);

/** a·x + b. */
export const affine = (tape: Tape | null, x: Tensor, a: number, b: number, options?: ActivationOptions): Tensor =>
  elementWise(tape, "linear", x, a, b, options);

/** x^exponent for x > 0. */
export const power = (tape: Tape | null, x: Tensor, exponent: number): Tensor => elementWise(tape, "power", x, 1, exponent);

/** clip(x/6 + 1/2, 0, 1). */
export const hardSigmoid = (tape: Tape | null, x: Tensor): Tensor => clip(tape, affine(tape, x, 1 / 6, 1 / 2), 0, 1, { inPlace: true });
