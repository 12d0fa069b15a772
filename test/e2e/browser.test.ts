/** @file The guide's program for browsers, as it stands there, with a file that was quantised: in Chromium, over HTTP. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { createSession } from "../../src/onnx/session.ts";
import { hasBrowser, inBrowser, openBrowser } from "../browser.ts";
import { programInNewFolder, writePhotos } from "./program.ts";

const { dir, fettle } = programInNewFolder();
const runtime = dirname(fileURLToPath(import.meta.resolve("onnxruntime-web")));
const guide = readFileSync(join(import.meta.dirname, "..", "..", "docs", "guide.md"), "utf8");
const [program] = [...guide.matchAll(/```js\n([^`]*from "onnxruntime-web"[^`]*)```/g)].map((match) => match[1]!);

const page = `<!doctype html>
<script type="importmap">{ "imports": { "onnxruntime-web": "/runtime/ort.bundle.min.mjs" } }</script>
<img src="/photo.png">
<script type="module">
const image = document.querySelector("img");
await image.decode();
${program}
globalThis.told = { x: [...x], scores: [...scores] };
</script>`;
const TYPES: Record<string, string> = { ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

/** The page, a photo, the run folders and ONNX Runtime's files, as any web server would give them. */
function serve(photo: string) {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, "http://localhost");
    if (pathname === "/") return void response.setHeader("content-type", "text/html").end(page);
    const file =
      pathname === "/photo.png" ? photo : pathname.startsWith("/runtime/") ? join(runtime, pathname.slice(8)) : join(dir, pathname);
    if (!existsSync(file)) return void response.writeHead(404).end();
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream").end(readFileSync(file));
  });
  return new Promise<{ url: string } & AsyncDisposable>((resolve) => {
    server.listen(0, "localhost", () => {
      const { port } = server.address() as AddressInfo;
      const close = () => new Promise<void>((closed) => server.close(() => closed()));
      resolve({ url: `http://localhost:${port}/`, [Symbol.asyncDispose]: close });
    });
  });
}

describe.skipIf(!hasBrowser)(inBrowser, () => {
  beforeAll(async () => {
    await writePhotos(join(dir, "photos"));
    const data = ["--data", "images:photos", "--validation", "0.2", "--batch", "16"];
    const training = ["--net", "mobilenet-v1:0.1", "--size", "16", "--epochs", "2", "--lr", "0.05"];
    expect(fettle("train", ...training, ...data, "--out", "base").status).toBe(0);
    const limits = ["--device", "bitfusion", "--max-latency", "80%", "--episodes", "4", "--epochs", "1"];
    expect(fettle("quantize", "base", ...data, ...limits, "--out", "runs/photos").status).toBe(0);
  });

  test("a quantised file gives the class and the scores that it gives in Node", async () => {
    const photos = join(dir, "photos", "red");
    await using server = await serve(join(photos, readdirSync(photos)[0]!));
    const opened = await openBrowser();
    try {
      const tab = await opened.newPage();
      const [logged, errors]: [string[], string[]] = [[], []];
      tab.on("console", (message) => logged.push(`${message.type()}: ${message.text()}`));
      tab.on("pageerror", (error) => errors.push(error.message));
      await tab.goto(server.url);
      await tab.waitForFunction("globalThis.told", undefined, { timeout: 30_000 });
      const { x, scores } = await tab.evaluate<{ x: number[]; scores: number[] }>("globalThis.told");
      const session = await createSession(join(dir, "runs", "photos", "model.onnx"));
      const inNode = await session.run(Float32Array.from(x), [1, 3, 16, 16]);
      await session.close();
      const largest = Math.max(...inNode.map(Math.abs));
      for (const [i, score] of scores.entries()) expect(Math.abs(score - inNode[i]!)).toBeLessThan(0.01 * largest);
      expect(logged).toContain(`log: ${scores[0]! > scores[1]! ? "blue" : "red"}`);
      expect(errors).toEqual([]);
    } finally {
      await opened.close();
    }
  });
});
