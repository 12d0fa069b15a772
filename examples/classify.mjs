/** @file Classifies one photo with a model that Fettle exported: `node examples/classify.mjs runs/photos photo.jpg`. */
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node"; // onnxruntime-web in a browser
import sharp from "sharp";

const [run, photo] = process.argv.slice(2);
const card = JSON.parse(readFileSync(`${run}/card.json`, "utf8"));
const { name, shape, layout, mean, std } = card.input;
const isLast = layout === "NHWC"; // channels last
const [channels, height, width] = isLast ? [shape[3], shape[1], shape[2]] : shape.slice(1);
const upright = sharp(photo).autoOrient().resize(width, height, { fit: "cover" }).flatten();
const image = upright.toColourspace(channels === 1 ? "b-w" : "srgb").raw();
const { data: pixels, info } = await image.toBuffer({ resolveWithObject: true });

const plane = height * width;
const x = new Float32Array(channels * plane);
for (let c = 0; c < channels; c++) {
  const from = Math.min(c, info.channels - 1); // a grey photo has one channel for all
  for (let i = 0; i < plane; i++) {
    x[isLast ? i * channels + c : c * plane + i] = (pixels[i * info.channels + from] / 255 - mean[c]) / std[c];
  }
}
const session = await InferenceSession.create(`${run}/model.onnx`);
const results = await session.run({ [name]: new Tensor("float32", x, [1, ...shape.slice(1)]) });
const { data: scores } = results[session.outputNames[0]];
console.log(card.classes[scores.indexOf(Math.max(...scores))]);
