import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import type { Graph } from "../graph/types.ts";
import type { ProgressEvent } from "../util/progress.ts";
import { createRng } from "../util/rng.ts";
import { openCpu } from "./cpu.ts";
import { leastLatency, measureModel, measureTogether } from "./measure.ts";
import { timingModel } from "./operator-model.ts";

const folder = () => mkdtempSync(join(tmpdir(), "fettle-cpu-"));

function chain(width: number, layers: number): Graph {
  const b = createBuilder({ name: "chain", input: [16, 28, 28] });
  let x = b.input;
  for (let i = 0; i < layers; i++) x = b.conv(x, { name: `c${i}`, outChannels: width, kernel: 3, bias: true });
  return b.build(x);
}

test("larger networks take longer, sums are additive, and answers are remembered on disk", async () => {
  const cacheDir = folder();
  const events: ProgressEvent[] = [];
  const cpu = await openCpu({ cacheDir, onProgress: (event) => events.push(event) });
  const [narrow, wide, deep] = [chain(16, 2), chain(128, 2), chain(128, 4)];
  await cpu.prepare([narrow, wide]);
  expect(events.at(-1)).toMatchObject({ task: "measuring operators", done: events.at(-1)!.total });
  const [a, b, c] = [await cpu.latencyMs(narrow), await cpu.latencyMs(wide), await cpu.latencyMs(deep)];
  expect(a).toBeGreaterThan(0);
  expect(b).toBeGreaterThan(2 * a);
  const last = chain(128, 3);
  expect(c - (await cpu.latencyMs(last))).toBeCloseTo((await cpu.latencyMs(last)) - b, 9);
  const again = await openCpu({ cacheDir, onProgress: () => expect.unreachable("everything is known") });
  await again.prepare([narrow, wide]);
  expect(await again.latencyMs(wide)).toBe(b);
  expect(again.overheadMs).toBe(cpu.overheadMs);
});

test("whole models: statistics in order, several in turns", async () => {
  const rng = createRng(1);
  const [small, large] = [timingModel(chain(16, 1), rng), timingModel(chain(128, 3), rng)];
  const { p50Ms, p95Ms, meanMs, count } = await measureModel(small, { minMs: 50 });
  expect(count).toBeGreaterThanOrEqual(50);
  expect(p50Ms).toBeGreaterThan(0);
  expect(p95Ms).toBeGreaterThanOrEqual(p50Ms);
  expect(meanMs).toBeGreaterThan(0);
  const [a, b] = await measureTogether([small, large], { rounds: 5 });
  expect(b).toBeGreaterThan(a!);
});

test("what is over a limit in a slow moment is measured twice more at most", async () => {
  const model = timingModel(chain(16, 1), createRng(1));
  const measured = async (limitMs: number) => {
    let [now, step, calls] = [0, 10, 0];
    const nowMs = () => {
      calls++;
      step *= 0.99;
      now += step;
      return now;
    };
    const least = await leastLatency(model, limitMs, { warmup: 0, minMs: 0, minRuns: 10, clock: { nowMs, now: () => new Date(0) } });
    return { least, calls };
  };
  const [once, thrice] = [await measured(100), await measured(0)];
  expect(thrice.calls).toBe(3 * once.calls);
  expect(thrice.least).toBeLessThan(once.least);
  expect((await measured(once.least - 0.1)).calls).toBe(2 * once.calls);
});

test("a file that is no model is refused in one line", async () => {
  await expect(measureModel("nowhere.onnx")).rejects.toThrow(/^onnxruntime: nowhere\.onnx must load, got: .*$/);
});
