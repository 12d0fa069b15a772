/** @file oneDNN 2.6's API: operation descriptors and memory descriptors are structs, passed here as opaque zeroed blocks. */
import koffi from "koffi";
import { type Api, ARG, BINARY, CONVOLUTION, type EltwiseAlgorithm, type Handle, type NormFlags, POOL, PROP, type Tag } from "./api.ts";
import { bind, check, int64s, type NativeFunction } from "./binding.ts";
import type { NativeLibrary } from "./library.ts";

const MEMORY_DESC_BYTES = 1024;
const OP_DESC_BYTES = 16384;
const F32 = 3;
/** DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE. */
const POST_OP = 16384;
const TAGS: Record<Tag, number> = { any: 1, a: 2, ab: 3, abcd: 5, abcde: 7, aBcd8b: 93, aBcd16b: 69 };
const ELTWISE: Record<EltwiseAlgorithm, number> = {
  relu: 0x100,
  clip: 0x106,
  logistic: 0x104,
  linear: 0x7f,
  hardSwish: 0x70,
  power: 0x20,
  round: 0x40,
};
const USE_SCALE_AND_SHIFT = 0x8 | 0x10;
const normFlags = ({ globalStats, fuseRelu }: NormFlags) => USE_SCALE_AND_SHIFT | (globalStats ? 1 : 0) | (fuseRelu ? 4 : 0);

export function createApi(library: NativeLibrary): Api {
  const { declare, create, engine, attributes, shared } = bind(library);
  const calloc = koffi.load(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6").func("size_t calloc(size_t n, size_t size)");
  const md = () => Number(calloc(1, MEMORY_DESC_BYTES));

  const byTag = declare("dnnl_memory_desc_init_by_tag", "size_t md, int ndims, const void *dims, int type, int tag");
  const submemory = declare("dnnl_memory_desc_init_submemory", "size_t md, size_t parent, const void *dims, const void *offsets");
  const getSize = declare("dnnl_memory_desc_get_size", "size_t md", "size_t");
  const equal = declare("dnnl_memory_desc_equal", "size_t a, size_t b");
  const pdCreate = declare("dnnl_primitive_desc_create", "void *pd, const void *op, size_t attr, size_t engine, size_t hint");
  const window = "const void *strides, const void *dilates, const void *before, const void *after";
  const pool = "const void *strides, const void *kernel, const void *dilation, const void *before, const void *after";
  const initConvForward = declare(
    "dnnl_dilated_convolution_forward_desc_init",
    `void *d, int prop, int alg, size_t src, size_t w, size_t bias, size_t dst, ${window}`,
  );
  const initConvData = declare(
    "dnnl_dilated_convolution_backward_data_desc_init",
    `void *d, int alg, size_t src, size_t w, size_t dst, ${window}`,
  );
  const initConvWeights = declare(
    "dnnl_dilated_convolution_backward_weights_desc_init",
    `void *d, int alg, size_t src, size_t w, size_t bias, size_t dst, ${window}`,
  );
  const initNormForward = declare(
    "dnnl_batch_normalization_forward_desc_init",
    "void *d, int prop, size_t data, float epsilon, uint32_t flags",
  );
  const initNormBackward = declare(
    "dnnl_batch_normalization_backward_desc_init",
    "void *d, int prop, size_t diff, size_t data, float epsilon, uint32_t flags",
  );
  const initEltwiseForward = declare("dnnl_eltwise_forward_desc_init", "void *d, int prop, int alg, size_t data, float alpha, float beta");
  const initEltwiseBackward = declare(
    "dnnl_eltwise_backward_desc_init",
    "void *d, int alg, size_t diff, size_t data, float alpha, float beta",
  );
  const initPoolForward = declare("dnnl_pooling_v2_forward_desc_init", `void *d, int prop, int alg, size_t src, size_t dst, ${pool}`);
  const initPoolBackward = declare("dnnl_pooling_v2_backward_desc_init", `void *d, int alg, size_t src, size_t dst, ${pool}`);
  const initBinary = declare("dnnl_binary_desc_init", "void *d, int alg, size_t a, size_t b, size_t dst");
  const appendEltwise = declare("dnnl_post_ops_append_eltwise", "size_t postOps, float scale, int alg, float alpha, float beta");
  const appendSum = declare("dnnl_post_ops_append_sum", "size_t postOps, float scale");
  const reorder = declare(
    "dnnl_reorder_primitive_desc_create",
    "void *pd, size_t src, size_t srcEngine, size_t dst, size_t dstEngine, size_t attr",
  );

  /** Fills an operation descriptor and asks for a primitive descriptor of it. */
  const describe = (what: string, init: NativeFunction, args: readonly unknown[], hint: Handle = 0, attr: Handle = 0): Handle => {
    const op = new Uint8Array(OP_DESC_BYTES);
    const status = init(op, ...args);
    if (status === 3) return 0;
    check(status, `describing ${what}`);
    return create(pdCreate, `preparing ${what}`, op, attr, engine, hint);
  };

  return {
    ...shared,
    major: 2,
    normGradientTakesShift: true,
    descByTag: (dims, tag) => {
      const desc = md();
      check(byTag(desc, dims.length, int64s(dims), F32, TAGS[tag]), `describing [${dims}]`);
      return desc;
    },
    submemory: (parent, dims, offsets) => {
      const desc = md();
      return submemory(desc, parent, int64s(dims), int64s(offsets)) === 0 ? desc : 0;
    },
    descBytes: (desc) => Number(getSize(desc)),
    descEqual: (a, b) => equal(a, b) === 1,
    convForward: (algorithm, prop, src, weights, bias, dst, g, attr = 0) =>
      describe("a convolution", initConvForward, [prop, CONVOLUTION[algorithm], src, weights, bias, dst, ...windowArgs(g)], 0, attr),
    postOpArg: (place) => POST_OP * (place + 1) + ARG.src1,
    attributes: attributes({
      sum: (list) => appendSum(list, 1),
      eltwise: (list, { algorithm, alpha, beta }) => appendEltwise(list, 1, ELTWISE[algorithm], alpha, beta),
    }),
    convBackwardData: (algorithm, src, weights, dst, g, hint) =>
      describe("a convolution's data gradient", initConvData, [CONVOLUTION[algorithm], src, weights, dst, ...windowArgs(g)], hint),
    convBackwardWeights: (algorithm, src, weights, bias, dst, g, hint) =>
      describe(
        "a convolution's weight gradient",
        initConvWeights,
        [CONVOLUTION[algorithm], src, weights, bias, dst, ...windowArgs(g)],
        hint,
      ),
    normForward: (prop, data, epsilon, flags) =>
      describe("a batch normalisation", initNormForward, [prop, data, epsilon, normFlags(flags)]),
    normBackward: (diff, data, epsilon, flags, hint) =>
      describe("a batch normalisation's gradient", initNormBackward, [PROP.backward, diff, data, epsilon, normFlags(flags)], hint),
    eltwiseForward: (algorithm, data, alpha, beta) =>
      describe("an activation", initEltwiseForward, [PROP.training, ELTWISE[algorithm], data, alpha, beta]),
    eltwiseBackward: (algorithm, diff, data, alpha, beta, hint) =>
      describe("an activation's gradient", initEltwiseBackward, [ELTWISE[algorithm], diff, data, alpha, beta], hint),
    poolForward: (prop, algorithm, src, dst, g) =>
      describe("a pooling", initPoolForward, [prop, POOL[algorithm], src, dst, ...poolArgs(g)]),
    poolBackward: (algorithm, src, dst, g, hint) =>
      describe("a pooling's gradient", initPoolBackward, [POOL[algorithm], src, dst, ...poolArgs(g)], hint),
    binary: (algorithm, a, b, dst, attr = 0) => describe("an element-wise operation", initBinary, [BINARY[algorithm], a, b, dst], 0, attr),
    reorder: (src, dst) => create(reorder, "preparing a reorder", src, engine, dst, engine, 0),
  };
}

function windowArgs(g: {
  strides: readonly number[];
  dilations: readonly number[];
  paddingBefore: readonly number[];
  paddingAfter: readonly number[];
}) {
  return [int64s(g.strides), int64s(g.dilations), int64s(g.paddingBefore), int64s(g.paddingAfter)];
}

function poolArgs(g: Parameters<typeof windowArgs>[0] & { kernel: readonly number[] }) {
  return [int64s(g.strides), int64s(g.kernel), int64s(g.dilations), int64s(g.paddingBefore), int64s(g.paddingAfter)];
}
