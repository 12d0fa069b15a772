/** @file The part of the C interface that both API generations declare alike. */
import koffi from "koffi";
import { AppError } from "../errors.ts";
import { type Api, BINARY, type Desc, type Handle, type PostOp } from "./api.ts";
import type { NativeLibrary } from "./library.ts";

const CPU_ENGINE = 1;
const IN_ORDER_STREAM = 1;
const IMPLEMENTATION_QUERY = 8;
const STATUS = [
  "success",
  "out of memory",
  "invalid arguments",
  "unimplemented",
  "last implementation reached",
  "runtime error",
  "not required",
];

/** A C function whose pointer arguments and results are plain numbers (`size_t`). */
export type NativeFunction = (...args: unknown[]) => unknown;

export interface Binding {
  /** Declares `int name(arguments)`. */
  readonly declare: (name: string, parameters: string, result?: string) => NativeFunction;
  /** Runs a function whose first parameter is an out pointer; 0 when oneDNN says "unimplemented". */
  readonly create: (f: NativeFunction, what: string, ...args: unknown[]) => Handle;
  readonly engine: Handle;
  /** `Api.attributes` where those post-operations are appended to the handle of a list that the generations declare differently. */
  readonly attributes: (append: AppendPostOp) => Api["attributes"];
  readonly shared: Pick<Api, "queryDesc" | "implementation" | "primitive" | "memory" | "destroyMemory" | "execute" | "sgemm">;
}

export interface AppendPostOp {
  readonly sum: (list: Handle) => unknown;
  readonly eltwise: (list: Handle, postOp: Extract<PostOp, { kind: "eltwise" }>) => unknown;
}

/** @throws AppError BACKEND naming the call and oneDNN's status */
export function check(status: unknown, what: string): void {
  if (status !== 0)
    throw new AppError("BACKEND", `engine: ${what} must succeed, got oneDNN status "${STATUS[status as number] ?? status}"`);
}

/** Dimensions or strides as int64_t[]. */
export const int64s = (values: readonly number[]): BigInt64Array => BigInt64Array.from(values, BigInt);

export function bind(library: NativeLibrary): Binding {
  const declare = (name: string, parameters: string, result = "int"): NativeFunction =>
    library.func(`${result} ${name}(${parameters})`) as unknown as NativeFunction;
  const out = new BigUint64Array(1);
  const create = (f: NativeFunction, what: string, ...args: unknown[]): Handle => {
    const status = f(out, ...args);
    if (status === 3) return 0;
    check(status, what);
    return Number(out[0]);
  };

  const engineCreate = declare("dnnl_engine_create", "void *engine, int kind, size_t index");
  const streamCreate = declare("dnnl_stream_create", "void *stream, size_t engine, uint32_t flags");
  const primitiveCreate = declare("dnnl_primitive_create", "void *primitive, size_t pd");
  const memoryCreate = declare("dnnl_memory_create", "void *memory, size_t md, size_t engine, size_t handle");
  const memoryDestroy = declare("dnnl_memory_destroy", "size_t memory");
  const execute = declare("dnnl_primitive_execute", "size_t primitive, size_t stream, int count, const void *args");
  const queryMd = declare("dnnl_primitive_desc_query_md", "size_t pd, int what, int index", "size_t");
  const query = declare("dnnl_primitive_desc_query", "size_t pd, int what, int index, void *result");
  const sgemm = declare(
    "dnnl_sgemm",
    "char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, size_t a, int64_t lda, size_t b, int64_t ldb, float beta, size_t c, int64_t ldc",
  );

  const attributesCreate = declare("dnnl_primitive_attr_create", "void *attr");
  const postOpsCreate = declare("dnnl_post_ops_create", "void *postOps");
  const appendBinary = declare("dnnl_post_ops_append_binary", "size_t postOps, int alg, size_t b");
  const appended = (append: AppendPostOp, list: Handle, postOp: PostOp): unknown => {
    if (postOp.kind === "binary") return appendBinary(list, BINARY[postOp.algorithm], postOp.b);
    return postOp.kind === "sum" ? append.sum(list) : append.eltwise(list, postOp);
  };
  const setPostOps = declare("dnnl_primitive_attr_set_post_ops", "size_t attr, size_t postOps");

  const engine = create(engineCreate, "creating the CPU engine", CPU_ENGINE, 0);
  const stream = create(streamCreate, "creating the stream", engine, IN_ORDER_STREAM);
  const T = "T".charCodeAt(0);
  const N = "N".charCodeAt(0);
  return {
    declare,
    create,
    engine,
    attributes: (append) => (postOps) => {
      const list = create(postOpsCreate, "creating post-operations");
      for (const postOp of postOps) check(appended(append, list, postOp), "adding a post-operation");
      const attributes = create(attributesCreate, "creating attributes");
      check(setPostOps(attributes, list), "setting post-operations");
      return attributes;
    },
    shared: {
      queryDesc: (pd, what, index = 0) => Number(queryMd(pd, what, index)) as Desc,
      implementation: (pd) => {
        check(query(pd, IMPLEMENTATION_QUERY, 0, out), "asking for the implementation's name");
        return koffi.decode(out[0] as bigint, "char", -1) as string;
      },
      primitive: (pd) => create(primitiveCreate, "creating a primitive", pd),
      memory: (desc, address) => create(memoryCreate, "describing memory", desc, engine, address),
      destroyMemory: (memory) => {
        memoryDestroy(memory);
      },
      execute: (primitive, count, args) => {
        const status = execute(primitive, stream, count, args);
        if (status !== 0) check(status, "executing a primitive");
      },
      sgemm: (transA, transB, m, n, k, a, lda, b, ldb, beta, c, ldc) =>
        check(sgemm(transA ? T : N, transB ? T : N, m, n, k, 1, a, lda, b, ldb, beta, c, ldc), "multiplying matrices"),
    },
  };
}
