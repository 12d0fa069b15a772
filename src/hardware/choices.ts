/** @file Bits to choose among. */
import { AppError } from "../errors.ts";
import type { PrecisionChoices } from "./precision.ts";

/** The device's options from `lowest` to `highest` bits. @throws AppError CONFIG when none is left */
export function choicesWithin(choices: PrecisionChoices, lowest: number, highest: number, name: string): PrecisionChoices {
  const within = (bits: readonly number[]) => bits.filter((b) => b >= lowest && b <= highest);
  const [weightBits, activationBits] = [within(choices.weightBits), within(choices.activationBits)];
  if (weightBits.length === 0 || activationBits.length === 0) {
    const can = [...new Set([...choices.weightBits, ...choices.activationBits])].sort((a, b) => a - b).join(", ");
    throw new AppError("CONFIG", `quantize: bits must be among those that ${name} computes with (${can}), got ${lowest} to ${highest}`);
  }
  return { ...choices, weightBits, activationBits };
}
