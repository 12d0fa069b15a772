import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tinyNetwork } from "../../test/support.ts";
import { openCpu } from "../hardware/cpu.ts";
import { untrainedFile } from "../hardware/untrained-file.ts";
import type { Card } from "../run/card.ts";
import { timedForLimits } from "./outcome.ts";

test("a file that is over a latency limit is timed again; one that is within is not", async () => {
  const dir = mkdtempSync(join(tmpdir(), "fettle-outcome-"));
  const path = join(dir, "model.onnx");
  writeFileSync(path, untrainedFile(tinyNetwork()));
  const latency = { p50Ms: 5_000, p95Ms: 5_000, meanMs: 5_000, count: 1, device: "cpu", threads: 1, batch: 1, obtained: "measured" };
  const card = { latency } as unknown as Card;
  const device = await openCpu({ cacheDir: dir });
  const timed = async (limit: number) => (await timedForLimits(card, path, [{ kind: "latency", limit }], device)).latency;
  expect((await timed(1_000)).p50Ms).toBeLessThan(1_000);
  expect((await timed(1_000)).obtained).toBe("measured");
  expect(await timed(6_000)).toEqual(latency);
});
