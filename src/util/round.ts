/** @file Rounding as the field's Python code does it. */

/** To the nearest integer, halves to the even one (Math.round takes them up). */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
