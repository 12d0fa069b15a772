/** @file Small ONNX files for tests. */
import { type AttributeProto, modelType } from "../schema.ts";

export interface TestNode {
  readonly op: string;
  readonly in: readonly string[];
  readonly out: string | readonly string[];
  readonly attributes?: readonly (Partial<AttributeProto> & { readonly name: string })[];
  readonly domain?: string;
}
export interface TestFile {
  readonly nodes: readonly TestNode[];
  /** float32 constants by name. */
  readonly floats?: Readonly<Record<string, { readonly dims: readonly number[]; readonly data: ArrayLike<number> }>>;
  /** int64 vectors by name, and single numbers without an axis. */
  readonly ints?: Readonly<Record<string, readonly number[]>>;
  readonly scalars?: Readonly<Record<string, number>>;
  readonly input?: readonly (number | string)[];
  readonly opset?: number;
  readonly output?: string;
}

const dim = (size: number | string) => (typeof size === "number" ? { dimValue: size } : { dimParam: size });

/** Encodes a file with one input "x" and one output, by default the last node's. */
export function onnxFile({
  nodes,
  floats = {},
  ints = {},
  scalars = {},
  input = ["N", 4, 6, 6],
  opset = 17,
  output,
}: TestFile): Uint8Array {
  const last = nodes.at(-1)!.out;
  const type = (dims: readonly (number | string)[]) => ({ tensorType: { elemType: 1, shape: { dim: dims.map(dim) } } });
  const initializer = [
    ...Object.entries(floats).map(([name, { dims, data }]) => ({
      name,
      dims,
      dataType: 1,
      rawData: new Uint8Array(Float32Array.from(data).buffer),
    })),
    ...Object.entries(ints).map(([name, values]) => ({ name, dims: [values.length], dataType: 7, int64Data: values })),
    ...Object.entries(scalars).map(([name, value]) => ({ name, dims: [], dataType: 7, int64Data: [value] })),
  ];
  const message = {
    irVersion: 8,
    opsetImport: [
      { domain: "", version: opset },
      { domain: "custom", version: 1 },
    ],
    graph: {
      name: "test",
      node: nodes.map(({ op, in: from, out, attributes = [], domain = "" }) => ({
        name: `${op}:${[out].flat()[0]}`,
        opType: op,
        domain,
        input: from,
        output: [out].flat(),
        attribute: attributes.map((a) => ({ ...a, type: a.ints ? 7 : a.i !== undefined ? 2 : a.s ? 3 : a.floats ? 6 : 1 })),
      })),
      initializer,
      input: [{ name: "x", type: type(input) }],
      output: [{ name: output ?? [last].flat()[0], type: { tensorType: { elemType: 1 } } }],
    },
  };
  return modelType.encode(modelType.fromObject(message)).finish();
}

/** Numbers without a pattern, the same each time. */
export const numbers = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1)) * 1.3);
