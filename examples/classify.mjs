/** @file Classifies one photo with a model that Fettle exported: `node examples/classify.mjs runs/photos photo.jpg`. */
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node"; // onnxruntime-web in a browser
import sharp from "sharp";

const [run, photo] = process.argv.slice(2);
const card = JSON.parse(readFileSync(`${run}/card.json`, "utf8"));
const { name, shape, mean, std } = card.input;
const [, channels, height, width] = shape;
const pixels = await sharp(photo).autoOrient().resize(width, height, { fit: "cover" }).flatten().toColourspace("srgb").raw().toBuffer();

const plane = height * width;
const x = new Float32Array(channels * plane);
for (let c = 0; c < channels; c++) {
  for (let i = 0; i < plane; i++) x[c * plane + i] = (pixels[i * channels + c] / 255 - mean[c]) / std[c];
}
const session = await InferenceSession.create(`${run}/model.onnx`);
const results = await session.run({ [name]: new Tensor("float32", x, [1, channels, height, width]) });
const { data: scores } = results[session.outputNames[0]];
console.log(card.classes[scores.indexOf(Math.max(...scores))]);
