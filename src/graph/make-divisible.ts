/** @file Channel counts that hardware likes. */

/**
 * The multiple of `divisor` nearest to `value`, but never below 90% of it. Source: the MobileNet code of TensorFlow, which
 * MobileNetV2, MnasNet and ProxylessNAS share.
 */
export function makeDivisible(value: number, divisor = 8, minimum = divisor): number {
  const nearest = Math.max(minimum, Math.floor(Math.trunc(value + divisor / 2) / divisor) * divisor);
  return nearest < 0.9 * value ? nearest + divisor : nearest;
}
