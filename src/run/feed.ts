/** @file Feeding images to an exported or foreign file: in its layout, in the batches that it insists on. */
import type { OnnxSession } from "../onnx/session.ts";

type Shape3 = readonly [channels: number, height: number, width: number];

/** Whether the file reads channels last, for images of so many channels. */
export const isChannelsLast = ({ inputShape }: OnnxSession, channels: number): boolean =>
  inputShape.length === 4 && inputShape[1] !== channels && inputShape[3] === channels;

/** The file's image as [C, H, W]; axes that it leaves open are -1. */
export function imageShapeOf(session: OnnxSession, channels: number): number[] {
  const [, a = -1, b = -1, c = -1] = session.inputShape;
  return isChannelsLast(session, channels) ? [c, a, b] : [a, b, c];
}

/** Images a call takes: what the file fixes, else `wanted`. */
export const batchOf = ({ inputShape }: OnnxSession, wanted: number): number => ((inputShape[0] ?? -1) > 0 ? inputShape[0]! : wanted);

function channelsLast(x: Float32Array, images: number, [c, h, w]: Shape3): Float32Array {
  const result = new Float32Array(x.length);
  const pixels = h * w;
  for (let n = 0; n < images; n++) {
    for (let k = 0; k < c; k++) {
      for (let i = 0; i < pixels; i++) result[(n * pixels + i) * c + k] = x[(n * c + k) * pixels + i]!;
    }
  }
  return result;
}

/** Outputs for `images` images x [N, C, H, W]; a batch smaller than the file's own is filled up with zeros. */
export async function runImages(session: OnnxSession, x: Float32Array, images: number, shape: Shape3): Promise<Float32Array> {
  const [c, h, w] = shape;
  const batch = batchOf(session, images);
  const whole = batch === images ? x : new Float32Array(batch * c * h * w);
  if (whole !== x) whole.set(x.subarray(0, Math.min(x.length, whole.length)));
  const isLast = isChannelsLast(session, c);
  const outputs = await session.run(isLast ? channelsLast(whole, batch, shape) : whole, isLast ? [batch, h, w, c] : [batch, c, h, w]);
  return batch === images ? outputs : outputs.subarray(0, (outputs.length / batch) * images);
}
