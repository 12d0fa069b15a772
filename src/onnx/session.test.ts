import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createBuilder } from "../graph/builder.ts";
import { exportOnnx } from "./export.ts";
import { createSession } from "./session.ts";

const b = createBuilder({ name: "relu", input: [2] });
const bytes = exportOnnx({ graph: b.build(b.activation(b.input, "relu", "relu")), weights: new Map() });

test("runs a batch of any size, from bytes and from a file", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "fettle-session-")), "m.onnx");
  writeFileSync(path, bytes);
  for (const model of [bytes, path]) {
    const session = await createSession(model);
    expect([...(await session.run(Float32Array.of(-1, 2, 3, -4), [2, 2]))]).toEqual([0, 2, 3, 0]);
    await session.close();
  }
});

test("a wrong input is one line", async () => {
  const session = await createSession(bytes);
  await expect(session.run(Float32Array.of(1, 2, 3), [1, 3])).rejects.toThrow(/^onnxruntime: input \[1,3\] must run, got: [^\n]+$/);
  await session.close();
});

test("nothing is uploaded: ONNX Runtime keeps no identifier in the home folder", () => {
  const home = mkdtempSync(join(tmpdir(), "fettle-home-"));
  const script = join(home, "..", "session-home.ts");
  writeFileSync(
    script,
    `import { createSession } from ${JSON.stringify(join(import.meta.dirname, "session.ts"))};
     const session = await createSession(Buffer.from(${JSON.stringify(Buffer.from(bytes).toString("base64"))}, "base64"));
     console.log((await session.run(Float32Array.of(5, 6), [1, 2])).join());`,
  );
  const { ORT_DISABLE_TELEMETRY: _, CI: __, ...env } = process.env;
  const { stdout } = spawnSync(process.execPath, [script], { encoding: "utf8", env: { ...env, HOME: home, XDG_CACHE_HOME: "" } });
  expect(stdout).toBe("5,6\n");
  expect(readdirSync(home)).toEqual([]);
});
