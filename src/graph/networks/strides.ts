/** @file How networks described for large images are adapted to small ones. */

const SMALLEST_MAP = 4;

/**
 * The strides of a description for an input of `size` pixels: while the last feature map would be smaller than 4×4, the earliest
 * stride of 2 becomes 1. Descriptions for 224×224 keep 7×7 there and are unchanged from 128 pixels on.
 */
export function adaptStrides(strides: readonly number[], size: number): number[] {
  const adapted = [...strides];
  const last = () => adapted.reduce((extent, stride) => Math.ceil(extent / stride), size);
  while (last() < SMALLEST_MAP) {
    const first = adapted.findIndex((stride) => stride > 1);
    if (first < 0) break;
    adapted[first] = 1;
  }
  return adapted;
}
