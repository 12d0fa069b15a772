/** @file Weights of few bits as they are stored: integer codes and what they stand for. */
import type { Weight } from "./types.ts";

/** value = (codebook ? codebook[code] : code) · scale[output channel]. */
export interface QuantizedWeight {
  readonly shape: readonly number[];
  /** 1…8. */
  readonly bits: number;
  /** −n … n with n = 2^(bits−1) − 1 (±1 for 1 bit), or positions in the codebook. */
  readonly codes: Int16Array;
  /** [O]. */
  readonly scale: Float32Array;
  /** Shared values, at most 2^bits; null for linear codes. */
  readonly codebook: Float32Array | null;
}
export type QuantizedWeights = ReadonlyMap<string, QuantizedWeight>;

/** Highest code of symmetric weights: 2^(b−1) − 1; with 1 bit there is the sign alone. */
export const highestCode = (bits: number): number => (bits === 1 ? 1 : 2 ** (bits - 1) - 1);

/** The numbers that the codes stand for. */
export function decode({ shape, codes, scale, codebook }: QuantizedWeight): Weight {
  const size = codes.length / shape[0]!;
  return { shape, data: Float32Array.from(codes, (code, i) => (codebook ? codebook[code]! : code) * scale[Math.floor(i / size)]!) };
}
