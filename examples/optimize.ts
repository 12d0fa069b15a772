/** @file A model made to fit from a program: node_modules/.bin/node examples/optimize.ts MODEL IMAGES (Node 24) */
import { optimize } from "fettle";

const [model, images] = process.argv.slice(2);
if (!model || !images) throw new Error("usage: node_modules/.bin/node examples/optimize.ts model.onnx photos/");

const controller = new AbortController();
process.once("SIGINT", () => controller.abort()); // ends with the best so far

const run = optimize(
  { model, data: `images:${images}`, device: "bitfusion", maxLatency: "60%", batch: 16, episodes: 20, epochs: 1, out: "runs/example" },
  { signal: controller.signal, overwrite: true },
);
for await (const event of run) {
  if (event.type === "stage") console.log(`${event.name}, in ${event.dir}`);
  if (event.type === "note") console.log(`  ${event.text}`);
}
const { model: bytes, card, constraints } = await run.result;
for (const { name, limit, value, unit, isMet } of constraints)
  console.log(`${name} ${value.toFixed(3)} of ${limit.toFixed(3)} ${unit}${isMet ? "" : ": MISSED"}`);
console.log(`test accuracy ${(100 * card.accuracy.test).toFixed(2)}%, ${bytes.length} bytes`);
