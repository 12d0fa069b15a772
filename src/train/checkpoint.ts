/**
 * @file Checkpoints in the safetensors format (8-byte little-endian header length, JSON header, raw float32), so that other
 * tools can read them. Written atomically: a reader sees the previous file or the new one, never a part.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { AppError } from "../errors.ts";
import { writeFileAtomic } from "../util/files.ts";

export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** Small facts: epoch, configuration as JSON text, … */
  readonly metadata: Readonly<Record<string, string>>;
}

const natural = z.number().int().nonnegative();
const entrySchema = z.strictObject({ dtype: z.literal("F32"), shape: z.array(natural), data_offsets: z.tuple([natural, natural]) });
const headerSchema = z.object({ __metadata__: z.record(z.string(), z.string()).default({}) }).catchall(entrySchema);

export function encodeCheckpoint({ tensors, metadata }: Checkpoint): Buffer {
  const header: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let at = 0;
  for (const [name, { shape, data }] of tensors) {
    header[name] = { dtype: "F32", shape, data_offsets: [at, at + data.byteLength] };
    parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    at += data.byteLength;
  }
  const body = Buffer.concat(parts);
  header.__metadata__ = { ...metadata, sha256: createHash("sha256").update(body).digest("hex") };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, body]);
}

/** @throws AppError STORE naming the path when the bytes are not a whole checkpoint */
export function decodeCheckpoint(bytes: Buffer, path: string): Checkpoint {
  const broken = (why: string) =>
    new AppError("STORE", `checkpoint ${path}: must be a whole safetensors file, got ${why} — use an earlier checkpoint`);
  if (bytes.length < 8) throw broken(`${bytes.length} bytes`);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  if (headerLength > bytes.length - 8) throw broken("a truncated header");
  let header: z.infer<typeof headerSchema>;
  try {
    header = headerSchema.parse(JSON.parse(bytes.toString("utf8", 8, 8 + headerLength)));
  } catch {
    throw broken("an unreadable header");
  }
  const body = bytes.subarray(8 + headerLength);
  const { __metadata__: metadata, ...entries } = header;
  const { sha256, ...facts } = metadata;
  if (sha256 !== undefined && createHash("sha256").update(body).digest("hex") !== sha256)
    throw broken("contents that do not match their checksum");
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, { shape, data_offsets: offsets }] of Object.entries(entries)) {
    const [from, to] = offsets;
    const byteLength = 4 * shape.reduce((product, n) => product * n, 1);
    if (to - from !== byteLength || to > body.length)
      throw broken(`tensor "${name}" [${shape}] in bytes ${from} to ${to} of ${body.length}`);
    const data = new Float32Array(byteLength / 4);
    Buffer.from(data.buffer).set(body.subarray(from, to));
    tensors.set(name, { shape, data });
  }
  return { tensors, metadata: facts };
}

export function writeCheckpoint(path: string, checkpoint: Checkpoint): void {
  writeFileAtomic(path, encodeCheckpoint(checkpoint));
}

/** @throws AppError STORE when the file is missing or broken */
export function readCheckpoint(path: string): Checkpoint {
  if (!existsSync(path)) throw new AppError("STORE", `checkpoint ${path}: must exist, got no such file`);
  return decodeCheckpoint(readFileSync(path), path);
}
