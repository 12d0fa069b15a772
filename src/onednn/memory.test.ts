import fc from "fast-check";
import { expect, test } from "vitest";
import { createMemoryPool, floats, sizeClass } from "./memory.ts";

test("size classes hold what was asked for with at most an eighth of slack", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (bytes) => {
      const size = sizeClass(bytes);
      expect(size).toBeGreaterThanOrEqual(bytes);
      expect(size % 64).toBe(0);
      if (bytes > 4096) expect(size).toBeLessThanOrEqual(bytes * 1.125 + 64);
    }),
  );
});

test("released blocks are used again, by whoever asks for that size", () => {
  const pool = createMemoryPool(() => {});
  const first = pool.allocate(100_000);
  const { address } = first;
  expect(address % 64).toBe(0);
  pool.release(first);
  expect(pool.allocate(99_000).address).toBe(address);
  expect(pool.statistics().blocks).toBe(1);
});

test("a block lives as long as somebody refers to it", () => {
  const pool = createMemoryPool(() => {});
  const block = pool.allocate(64);
  pool.retain(block);
  pool.release(block);
  expect(pool.statistics().usedBytes).toBe(64);
  pool.release(block);
  expect(pool.statistics().usedBytes).toBe(0);
  expect(() => pool.release(block)).toThrow("internal: a tensor was freed twice");
});

test("trimming gives unused memory back and tells its owner", () => {
  const freed: number[] = [];
  const pool = createMemoryPool((block) => void freed.push(block.address));
  const [kept, unused] = [pool.allocate(1 << 20), pool.allocate(1 << 23)];
  floats(kept)[0] = 1;
  pool.slice(unused, 1024);
  pool.release(unused);
  pool.trim();
  expect(freed).toEqual([unused.address + 1024, unused.address]);
  expect(pool.statistics().totalBytes).toBe(kept.bytes);
  expect(floats(kept)[0]).toBe(1);
});
