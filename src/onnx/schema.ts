/** @file The messages of the ONNX format that we read and write, with their official field numbers. */
import protobuf from "protobufjs";

type Rule = "one" | "many";
/** name: [type, field number, rule] */
type Fields = Readonly<Record<string, readonly [type: string, id: number, rule?: Rule]>>;

const MESSAGES: Readonly<Record<string, Fields>> = {
  ModelProto: {
    irVersion: ["int64", 1],
    producerName: ["string", 2],
    producerVersion: ["string", 3],
    domain: ["string", 4],
    modelVersion: ["int64", 5],
    docString: ["string", 6],
    graph: ["GraphProto", 7],
    opsetImport: ["OperatorSetIdProto", 8, "many"],
    metadataProps: ["StringStringEntryProto", 14, "many"],
  },
  GraphProto: {
    node: ["NodeProto", 1, "many"],
    name: ["string", 2],
    initializer: ["TensorProto", 5, "many"],
    docString: ["string", 10],
    input: ["ValueInfoProto", 11, "many"],
    output: ["ValueInfoProto", 12, "many"],
    valueInfo: ["ValueInfoProto", 13, "many"],
  },
  NodeProto: {
    input: ["string", 1, "many"],
    output: ["string", 2, "many"],
    name: ["string", 3],
    opType: ["string", 4],
    attribute: ["AttributeProto", 5, "many"],
    docString: ["string", 6],
    domain: ["string", 7],
  },
  AttributeProto: {
    name: ["string", 1],
    f: ["float", 2],
    i: ["int64", 3],
    s: ["bytes", 4],
    t: ["TensorProto", 5],
    g: ["GraphProto", 6],
    floats: ["float", 7, "many"],
    ints: ["int64", 8, "many"],
    strings: ["bytes", 9, "many"],
    type: ["int32", 20],
  },
  TensorProto: {
    dims: ["int64", 1, "many"],
    dataType: ["int32", 2],
    floatData: ["float", 4, "many"],
    int32Data: ["int32", 5, "many"],
    int64Data: ["int64", 7, "many"],
    name: ["string", 8],
    rawData: ["bytes", 9],
    doubleData: ["double", 10, "many"],
    uint64Data: ["uint64", 11, "many"],
    externalData: ["StringStringEntryProto", 13, "many"],
    dataLocation: ["int32", 14],
  },
  ValueInfoProto: { name: ["string", 1], type: ["TypeProto", 2] },
  TypeProto: { tensorType: ["TensorTypeProto", 1] },
  TensorTypeProto: { elemType: ["int32", 1], shape: ["TensorShapeProto", 2] },
  TensorShapeProto: { dim: ["DimensionProto", 1, "many"] },
  DimensionProto: { dimValue: ["int64", 1], dimParam: ["string", 2] },
  OperatorSetIdProto: { domain: ["string", 1], version: ["int64", 2] },
  StringStringEntryProto: { key: ["string", 1], value: ["string", 2] },
};

const root = protobuf.Root.fromJSON({
  nested: {
    onnx: {
      nested: Object.fromEntries(
        Object.entries(MESSAGES).map(([message, fields]) => [
          message,
          {
            fields: Object.fromEntries(
              Object.entries(fields).map(([name, [type, id, rule]]) => [
                name,
                { type, id, ...(rule === "many" ? { rule: "repeated" } : {}) },
              ]),
            ),
          },
        ]),
      ),
    },
  },
});

export const modelType = root.lookupType("onnx.ModelProto");

export interface AttributeProto {
  name: string;
  type: number;
  f?: number;
  i?: number;
  s?: Uint8Array;
  t?: TensorProto;
  ints?: number[];
  floats?: number[];
}
export interface NodeProto {
  name: string;
  opType: string;
  input: string[];
  output: string[];
  attribute: AttributeProto[];
}
export interface TensorProto {
  name: string;
  dims: number[];
  dataType: number;
  rawData: Uint8Array;
}
export interface ValueInfoProto {
  name: string;
  type: { tensorType: { elemType: number; shape: { dim: ({ dimValue: number } | { dimParam: string })[] } } };
}
export interface ModelProto {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  opsetImport: { domain: string; version: number }[];
  metadataProps: { key: string; value: string }[];
  graph: { name: string; node: NodeProto[]; initializer: TensorProto[]; input: ValueInfoProto[]; output: ValueInfoProto[] };
}

export const DATA_TYPE = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7 } as const;
export const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7 } as const;
