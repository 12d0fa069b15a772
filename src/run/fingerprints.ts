/** @file What config.json knows of a run's inputs beside their names: a run that is gone on with must find the same. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { fingerprint } from "../data/image-set.ts";
import type { DataSplits } from "../data/types.ts";
import { AppError } from "../errors.ts";

/** SHA-256 of the training, validation and test images with their labels, hexadecimal. */
export const imagesFingerprint = ({ train, validation, test }: DataSplits): { readonly imagesSha256: readonly string[] } => ({
  imagesSha256: [train, validation, test].map(fingerprint),
});

/** SHA-256 of a file, hexadecimal. @throws AppError CONFIG when there is none */
export function fileFingerprint(path: string): string {
  if (!existsSync(path)) throw new AppError("CONFIG", `run: ${path} must exist, got no such file`);
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
