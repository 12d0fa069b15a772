/** @file What all MobileNet-like spaces have in common: everything but their stages and choices. */
import { z } from "zod";
import { AppError } from "../errors.ts";

export const positive = z.number().int().positive();
export const kernel = positive.refine((k) => k % 2 === 1, "must be odd");
const convolution = z.strictObject({ width: positive, kernel, stride: positive });

/** Fields of a space's description. */
export const skeleton = {
  name: z.string().min(1),
  /** [C, H, W]. */
  input: z.tuple([positive, positive, positive]),
  classes: z.number().int().min(2),
  stem: convolution,
  /** The first block: depthwise and pointwise, no expansion, no choice. */
  first: convolution,
  head: z.strictObject({ width: positive }),
  norm: z.strictObject({ epsilon: z.number().positive(), momentum: z.number().min(0).max(1) }),
};

export const NORM = { epsilon: 1e-3, momentum: 0.1 };

/** @throws AppError CONFIG naming the field that does not fit */
export function parseDescription<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new AppError("CONFIG", `${where}: ${issue!.path.join(".") || "the description"} is not valid: ${issue!.message}`);
}
