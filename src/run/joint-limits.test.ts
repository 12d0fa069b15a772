import { expect, test } from "vitest";
import type { CpuDevice } from "../hardware/cpu.ts";
import { tinySpace } from "../joint/fixtures.ts";
import { requireSmallestWithin } from "./joint-limits.ts";

/** This machine, of which no operator may be asked. */
const asksNothing: CpuDevice = {
  name: "cpu",
  kind: "measured",
  threads: 1,
  precisions: { weightBits: [32], activationBits: [32], isCoupled: true },
  overheadMs: 0,
  latencyMs: () => Promise.reject(new Error("an operator was measured")),
  prepare: () => Promise.reject(new Error("operators were measured")),
};

test("a latency that the smallest sub-net does not have is refused before any operator is measured", async () => {
  const latency = (value: number) =>
    requireSmallestWithin(tinySpace, asksNothing, [{ kind: "latency", quantity: { kind: "absolute", value } }]);
  await expect(latency(1e-6)).rejects.toMatchObject({
    code: "INFEASIBLE",
    message: /^joint: latency must be at least \d+ us in .* got a limit of/,
  });
  await latency(10_000);
});
