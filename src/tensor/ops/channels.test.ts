import { expect, test } from "vitest";
import { map, type Ref, random, zeros } from "../../../test/reference/array.ts";
import { checkOp } from "../../../test/reference/engine.ts";
import { createRng } from "../../util/rng.ts";
import { toArray } from "../layout.ts";
import type { Tape } from "../tape.ts";
import { createScope, fromArray, type Tensor } from "../tensor.ts";
import { channelShuffle, lrn, pad, sliceChannels } from "./channels.ts";

const padding = { top: 1, left: 0, bottom: 2, right: 3 };

/** For each number of the result, which number of the argument it is; −1: zero. */
type Source = (n: number, c: number, y: number, x: number) => readonly [c: number, y: number, x: number] | null;
interface Case {
  readonly name: string;
  readonly shape: readonly number[];
  readonly result: readonly number[];
  readonly op: (tape: Tape | null, x: Tensor) => Tensor;
  readonly source: Source;
}
const cases: readonly Case[] = [
  {
    name: "a slice inside a block",
    shape: [2, 20, 3, 4],
    result: [2, 7, 3, 4],
    op: (t, x) => sliceChannels(t, x, 3, 7),
    source: (_, c, y, x) => [c + 3, y, x],
  },
  {
    name: "a slice of whole blocks",
    shape: [2, 48, 3, 4],
    result: [2, 32, 3, 4],
    op: (t, x) => sliceChannels(t, x, 16, 32),
    source: (_, c, y, x) => [c + 16, y, x],
  },
  {
    name: "a shuffle",
    shape: [2, 24, 3, 2],
    result: [2, 24, 3, 2],
    op: (t, x) => channelShuffle(t, x, 3),
    source: (_, c, y, x) => [(c % 3) * 8 + Math.floor(c / 3), y, x],
  },
  {
    name: "zero pixels",
    shape: [2, 5, 3, 4],
    result: [2, 5, 6, 7],
    op: (t, x) => pad(t, x, { padding }),
    source: (_, c, y, x) => (y >= 1 && y < 4 && x < 4 ? [c, y - 1, x] : null),
  },
];

test.each(cases)("$name, and its gradient", ({ shape, result, op, source }) => {
  const [, channels, height, width] = shape as [number, number, number, number];
  const [, c, h, w] = result as [number, number, number, number];
  /** Calls with the position in the result and in the argument. */
  const each = (visit: (to: number, from: number) => void) => {
    for (let to = 0; to < result.reduce((product, n) => product * n, 1); to++) {
      const n = Math.floor(to / (c * h * w));
      const at = source(n, Math.floor(to / (h * w)) % c, Math.floor(to / w) % h, to % w);
      if (at) visit(to, ((n * channels + at[0]) * height + at[1]) * width + at[2]);
    }
  };
  const rng = createRng(5);
  checkOp({
    inputs: [random(shape, rng)],
    rng,
    engine: (tape, [x]) => op(tape, x!),
    reference: (x) => {
      const y = zeros(result);
      each((to, from) => {
        y.data[to] = x!.data[from]!;
      });
      return y;
    },
    gradients: (dy) => {
      const dx = zeros(shape);
      each((to, from) => {
        dx.data[from]! += dy.data[to]!;
      });
      return [dx];
    },
  });
});

test("positions outside the channels, and groups that do not divide them", () => {
  using _scope = createScope();
  const x = fromArray([1, 6, 1, 1], [0, 1, 2, 3, 4, 5]);
  expect([...toArray(channelShuffle(null, x, 2))]).toEqual([0, 3, 1, 4, 2, 5]);
  expect(() => sliceChannels(null, x, 4, 3)).toThrow("sliceChannels: channels 4 to 6 must be in the input, got f32[1,6,1,1]");
  expect(() => channelShuffle(null, x, 4)).toThrow("channels must be a multiple of 4 groups");
});

/** With s = bias + alpha/size · Σ x²: y = x·s^−beta, dx_i = dy_i·s_i^−beta − 2·alpha·beta/size · x_i · Σ_j dy_j·x_j·s_j^(−beta−1). */
test("local response normalisation, and its gradient", () => {
  const options = { size: 3, alpha: 0.7, beta: 0.75, bias: 1.2 };
  const shape = [2, 5, 2, 2];
  const pixels = 4;
  const overNeighbours = (at: number, of: (index: number) => number) => {
    const channel = Math.floor(at / pixels) % 5;
    let sum = 0;
    for (let c = Math.max(0, channel - 1); c <= Math.min(4, channel + 1); c++) sum += of(at + (c - channel) * pixels);
    return sum;
  };
  const base = (x: Ref, at: number) => options.bias + (options.alpha / options.size) * overNeighbours(at, (i) => x.data[i]! ** 2);
  const rng = createRng(6);
  checkOp({
    inputs: [random(shape, rng)],
    rng,
    engine: (tape, [x]) => lrn(tape, x!, options),
    reference: (x) => map(x!, (v, at) => v * base(x!, at) ** -options.beta),
    gradients: (dy, x) => [
      map(dy, (g, at) => {
        const spread = overNeighbours(at, (i) => dy.data[i]! * x!.data[i]! * base(x!, i) ** (-options.beta - 1));
        return g * base(x!, at) ** -options.beta - ((2 * options.alpha * options.beta) / options.size) * x!.data[at]! * spread;
      }),
    ],
  });
});
