import { chmodSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hostFingerprint, openLatencyCache } from "./latency-cache.ts";

const host = hostFingerprint(1);
const folder = () => mkdtempSync(join(tmpdir(), "fettle-cache-"));
const silent = (message: string) => expect.unreachable(message);

test("what was saved is there the next time, for the same host and thread count only", () => {
  const dir = folder();
  const cache = openLatencyCache(dir, host, silent);
  cache.set("conv", 0.25);
  cache.save();
  expect(openLatencyCache(dir, host, silent).get("conv")).toBe(0.25);
  expect(openLatencyCache(dir, hostFingerprint(2), silent).get("conv")).toBeUndefined();
});

test.each(["", "{", '{"format":"fettle-latency-1","latencyMs":{"conv":-1}}'])(
  "a damaged file (%j) is reported and measured again",
  (content) => {
    const dir = folder();
    const first = openLatencyCache(dir, host, silent);
    first.set("conv", 1);
    first.save();
    const [name] = readdirSync(dir);
    writeFileSync(join(dir, name!), content);
    const warnings: string[] = [];
    const second = openLatencyCache(dir, host, (message) => warnings.push(message));
    expect(second.get("conv")).toBeUndefined();
    expect(warnings).toEqual([
      expect.stringMatching(/^latency cache: .* must be a table that Fettle wrote, got damaged content — measuring again$/),
    ]);
    second.set("conv", 2);
    second.save();
    expect(openLatencyCache(dir, host, silent).get("conv")).toBe(2);
  },
);

test("a folder that cannot be written is reported once and does not stop the run", () => {
  const dir = folder();
  writeFileSync(join(dir, "file"), "");
  chmodSync(join(dir, "file"), 0o400);
  const warnings: string[] = [];
  const cache = openLatencyCache(join(dir, "file"), host, (message) => warnings.push(message));
  cache.set("conv", 1);
  cache.save();
  cache.set("pool", 1);
  cache.save();
  expect(cache.get("conv")).toBe(1);
  expect(warnings).toEqual([expect.stringMatching(/must be writable, got .* — measurements will not be kept$/)]);
});
