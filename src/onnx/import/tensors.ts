/** @file Constants of an ONNX file, inline or in files beside it, as numbers. */
import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, normalize, relative, resolve, sep } from "node:path";
import { AppError } from "../../errors.ts";

/** TensorProto as decoded; lists may be absent. */
export interface TensorMessage {
  readonly name?: string;
  readonly dims?: readonly (number | string)[];
  readonly dataType?: number;
  readonly rawData?: Uint8Array;
  readonly floatData?: readonly number[];
  readonly int32Data?: readonly number[];
  readonly int64Data?: readonly (number | string)[];
  readonly doubleData?: readonly number[];
  readonly uint64Data?: readonly (number | string)[];
  readonly externalData?: readonly { readonly key: string; readonly value: string }[];
  readonly dataLocation?: number;
}

/** A tensor whose numbers are known: floats as float32, integers and booleans as they are. */
export interface Constant {
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly data: Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array;
}

type Numbers = Constant["data"];
interface Kind {
  readonly bytes: number;
  /** Numbers from little-endian bytes of the right length, aligned. */
  read(bytes: ArrayBuffer): Numbers;
  /** Numbers from the message's own lists. */
  list(tensor: TensorMessage): Numbers | null;
}

const halfToFloat = (bytes: ArrayBuffer): Float32Array => Float32Array.from(new Float16Array(bytes));
function brainToFloat(bytes: ArrayBuffer): Float32Array {
  const halves = new Uint16Array(bytes);
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}
const halves = ({ int32Data }: TensorMessage): ArrayBuffer | null => (int32Data?.length ? Uint16Array.from(int32Data).buffer : null);
const int32List =
  <T>(make: (values: readonly number[]) => T) =>
  ({ int32Data }: TensorMessage): T | null =>
    int32Data?.length ? make(int32Data) : null;

/** By TensorProto.DataType. */
const KINDS: Readonly<Record<number, Kind>> = {
  1: { bytes: 4, read: (b) => new Float32Array(b), list: (t) => (t.floatData?.length ? Float32Array.from(t.floatData) : null) },
  2: { bytes: 1, read: (b) => new Uint8Array(b), list: int32List((v) => Uint8Array.from(v)) },
  3: { bytes: 1, read: (b) => new Int8Array(b), list: int32List((v) => Int8Array.from(v)) },
  4: { bytes: 2, read: (b) => new Uint16Array(b), list: int32List((v) => Uint16Array.from(v)) },
  5: { bytes: 2, read: (b) => new Int16Array(b), list: int32List((v) => Int16Array.from(v)) },
  6: { bytes: 4, read: (b) => new Int32Array(b), list: int32List((v) => Int32Array.from(v)) },
  7: { bytes: 8, read: (b) => new BigInt64Array(b), list: (t) => (t.int64Data?.length ? BigInt64Array.from(t.int64Data, BigInt) : null) },
  9: { bytes: 1, read: (b) => new Uint8Array(b), list: int32List((v) => Uint8Array.from(v)) },
  10: { bytes: 2, read: halfToFloat, list: (t) => (halves(t) ? halfToFloat(halves(t)!) : null) },
  11: { bytes: 8, read: (b) => new Float64Array(b), list: (t) => (t.doubleData?.length ? Float64Array.from(t.doubleData) : null) },
  12: { bytes: 4, read: (b) => new Uint32Array(b), list: (t) => (t.uint64Data?.length ? Uint32Array.from(t.uint64Data, Number) : null) },
  16: { bytes: 2, read: brainToFloat, list: (t) => (halves(t) ? brainToFloat(halves(t)!) : null) },
};

/** Element type of the numbers as they are kept: half precision becomes float32. */
export const keptType = (dataType: number): number => (dataType === 10 || dataType === 16 ? 1 : dataType);

/** Reads `length` bytes of a file beside the model. */
function readExternal(tensor: TensorMessage, modelPath: string, expected: number): Uint8Array {
  const where = `onnx: ${modelPath}: external data of "${tensor.name}"`;
  const entry = (key: string) => tensor.externalData?.find((pair) => pair.key === key)?.value;
  const location = entry("location") ?? "";
  if (location === "" || isAbsolute(location) || normalize(location).split(sep).includes(".."))
    throw new AppError("ONNX", `${where} must lie in the model's folder, got "${location}"`);
  const path = resolve(dirname(modelPath), location);
  const offset = Number(entry("offset") ?? 0);
  const length = Number(entry("length") ?? expected);
  if (length !== expected) throw new AppError("ONNX", `${where} must have ${expected} bytes, got ${length}`);
  let file: number;
  try {
    const real = realpathSync(path);
    const folder = realpathSync(dirname(modelPath));
    if (!statSync(real).isFile()) throw new Error(`${location} is not a file`);
    if (relative(folder, real).startsWith("..")) throw new Error(`${location} leads out of the model's folder`);
    file = openSync(real, "r");
  } catch (error) {
    throw new AppError("ONNX", `${where} must be readable, got ${(error as Error).message}`, { cause: error });
  }
  try {
    const { size } = fstatSync(file);
    if (!(Number.isSafeInteger(offset) && offset >= 0 && offset + length <= size))
      throw new AppError("ONNX", `${where} must lie within ${path} (${size} bytes), got bytes ${offset} to ${offset + length}`);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const count = readSync(file, bytes, done, length - done, offset + done);
      if (count === 0) throw new AppError("ONNX", `${where} must have ${length} bytes, got ${done}`);
      done += count;
    }
    return bytes;
  } finally {
    closeSync(file);
  }
}

/**
 * The numbers of a tensor. What its shape promises is compared with what is there before anything of that size is allocated.
 * @throws AppError ONNX for another element type, or when shape and data do not agree
 */
export function readTensor(tensor: TensorMessage, modelPath: string): Constant {
  const where = `onnx: ${modelPath}: constant "${tensor.name ?? ""}"`;
  const dataType = tensor.dataType ?? 0;
  const kind = Object.hasOwn(KINDS, dataType) ? KINDS[dataType] : undefined;
  if (!kind) throw new AppError("ONNX", `${where} must hold numbers, got element type ${dataType}`);
  const dims = (tensor.dims ?? []).map(Number);
  const count = dims.reduce((total, n) => total * n, 1);
  if (dims.some((n) => !(n >= 0)) || !Number.isSafeInteger(count))
    throw new AppError("ONNX", `${where} must have a possible shape, got [${dims}]`);
  const checked = (data: Numbers): Constant => {
    if (data.length !== count) throw new AppError("ONNX", `${where} must have the ${count} numbers of [${dims}], got ${data.length}`);
    return { dims, dataType: keptType(dataType), data };
  };
  if (tensor.dataLocation === 1) return checked(kind.read(readExternal(tensor, modelPath, count * kind.bytes).buffer as ArrayBuffer));
  if (tensor.rawData?.length) {
    if (tensor.rawData.length !== count * kind.bytes)
      throw new AppError("ONNX", `${where} must have the ${count * kind.bytes} bytes of [${dims}], got ${tensor.rawData.length}`);
    return checked(kind.read(Uint8Array.from(tensor.rawData).buffer));
  }
  return checked(kind.list(tensor) ?? kind.read(new ArrayBuffer(0)));
}
