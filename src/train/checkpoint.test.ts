import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeCheckpoint, encodeCheckpoint, readCheckpoint, writeCheckpoint } from "./checkpoint.ts";

const checkpoint = {
  tensors: new Map([
    ["conv.weight", { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ["empty", { shape: [0], data: new Float32Array() }],
  ]),
  metadata: { epoch: "3", note: "ü" },
};
const folder = () => mkdtempSync(join(tmpdir(), "fettle-checkpoint-"));

test("comes back as it was", () => {
  const path = join(folder(), "sub", "a.safetensors");
  writeCheckpoint(path, checkpoint);
  expect(readCheckpoint(path)).toEqual(checkpoint);
});

test("a cut or changed file is refused and named, wherever it was damaged", () => {
  const bytes = encodeCheckpoint(checkpoint);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: bytes.length - 1 }), fc.boolean(), (at, isCut) => {
      const damaged = isCut ? bytes.subarray(0, at) : Buffer.from(bytes);
      if (!isCut) damaged[at]! ^= 0x20;
      try {
        // a flipped bit in a name or in free text is not damage that can be seen
        const back = decodeCheckpoint(Buffer.from(damaged), "a.safetensors");
        expect(isCut).toBe(false);
        expect(Buffer.concat([...back.tensors.values()].map(({ data }) => Buffer.from(data.buffer)))).toEqual(bytes.subarray(-24));
      } catch (error) {
        expect((error as Error).message).toMatch(
          /^checkpoint a\.safetensors: must be a whole safetensors file, got .* — use an earlier checkpoint$/,
        );
      }
    }),
    { numRuns: 300 },
  );
});

test("a missing file is named", () =>
  expect(() => readCheckpoint("nowhere.safetensors")).toThrow("checkpoint nowhere.safetensors: must exist, got no such file"));

test("a process killed while writing leaves a whole file", async () => {
  const dir = folder();
  const path = join(dir, "a.safetensors");
  const script = join(dir, "write.ts");
  writeFileSync(
    script,
    `import { writeCheckpoint } from ${JSON.stringify(join(import.meta.dirname, "checkpoint.ts"))};
     for (let i = 1; ; i++) {
       writeCheckpoint(${JSON.stringify(path)}, { tensors: new Map([["w", { shape: [2 ** 21], data: new Float32Array(2 ** 21).fill(i) }]]), metadata: { i: String(i) } });
       if (i === 1) process.stdout.write("started");
     }`,
  );
  for (let attempt = 0; attempt < 5; attempt++) {
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, 13 * attempt + 5));
    child.kill("SIGKILL");
    await once(child, "exit");
    const { tensors, metadata } = readCheckpoint(path);
    expect(tensors.get("w")!.data.every((value) => value === Number(metadata.i))).toBe(true);
  }
  expect(readFileSync(path).length).toBeGreaterThan(2 ** 23);
  expect(readdirSync(dir)).toContain("a.safetensors");
});
