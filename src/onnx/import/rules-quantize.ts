/** @file Import of quantised activations: QuantizeLinear and DequantizeLinear around the same codes are one node here. */
import { codeBounds } from "../../tensor/ops/quantize.ts";
import { type Call, type Codes, require } from "./context.ts";
import type { Rule } from "./rules-layers.ts";
import type { Constant } from "./tensors.ts";

const INT8 = 3;
const UINT8 = 2;

/** One number, or the same one for every position. */
const isOneNumber = ({ data }: Constant): boolean => new Set<number | bigint>(data).size === 1;

/**
 * Step and zero point of inputs 1 and 2.
 * @param type of the codes where no zero point tells @throws Unsupported when they differ between channels, or codes are not bytes
 */
function codesOf(call: Call, type: number): Codes {
  const scale = call.constant(1);
  require(isOneNumber(scale), `${scale.data.length} steps for one activation`);
  const zero = call.has(2) ? call.constant(2) : null;
  require(!zero || isOneNumber(zero), "several zero points for one activation");
  const codes = zero?.dataType ?? type;
  require(codes === UINT8 || codes === INT8, "codes that are not bytes");
  const offset = (codes === INT8 ? 128 : 0) + Number(zero?.data[0] ?? 0);
  require(offset === 0 || offset === 128, `a zero point of ${offset} among 256 codes, where 0 or 128 is expected`);
  return { step: Number(scale.data[0]), zero: offset, isSigned: offset === 128 };
}

const quantizeLinear: Rule = (call) => ({ ...call.value(0), codes: codesOf(call, call.int("output_dtype", 0) || UINT8) });

const dequantizeLinear: Rule = (call) => {
  const { codes, ...value } = call.value(0);
  require(codes, "numbers that QuantizeLinear did not make");
  const { step, zero, isSigned } = codesOf(call, codes.isSigned ? INT8 : UINT8);
  require(step === codes.step && zero === codes.zero, "another step than the one that the codes were made with");
  const attrs = { bits: 8, isSigned };
  const range = call.newWeight("range", { shape: [1], data: Float32Array.of(step * codeBounds(attrs).max) });
  return { ...value, base: call.emit("quantize", [value.base], attrs, { params: { range } }).base };
};

export const quantizeRules: Readonly<Record<string, Rule>> = { QuantizeLinear: quantizeLinear, DequantizeLinear: dequantizeLinear };
