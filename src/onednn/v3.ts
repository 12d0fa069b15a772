/** @file oneDNN 3.x's API: memory descriptors are opaque, primitive descriptors are created in one call. */
import {
  type Api,
  ARG,
  BINARY,
  CONVOLUTION,
  type EltwiseAlgorithm,
  type NormFlags,
  POOL,
  type PoolGeometry,
  PROP,
  type Tag,
  type WindowGeometry,
} from "./api.ts";
import { bind, check, int64s } from "./binding.ts";
import type { NativeLibrary } from "./library.ts";

const F32 = 3;
/** DNNL_ARG_ATTR_MULTIPLE_POST_OP_BASE, which is 16384 in 2.x. */
const POST_OP = 32768;
/** As data type: that of the destination. */
const UNDEFINED = 0;
const TAGS: Record<Tag, number> = { any: 1, a: 2, ab: 3, abcd: 5, abcde: 6, aBcd8b: 102, aBcd16b: 78 };
const ELTWISE: Record<EltwiseAlgorithm, number> = {
  relu: 0x100,
  clip: 0x106,
  logistic: 0x104,
  linear: 38,
  hardSwish: 52,
  power: 48,
  round: 50,
};
const USE_SCALE_AND_SHIFT = 0x2 | 0x4;
const normFlags = ({ globalStats, fuseRelu }: NormFlags) => USE_SCALE_AND_SHIFT | (globalStats ? 1 : 0) | (fuseRelu ? 8 : 0);
/** hard-swish became x · clip(alpha·x + beta, 0, 1) in 3.x. */
const coefficients = (algorithm: EltwiseAlgorithm, alpha: number, beta: number) =>
  algorithm === "hardSwish" ? [1 / 6, 1 / 2] : [alpha, beta];

const windowArgs = (g: WindowGeometry) => [int64s(g.strides), int64s(g.dilations), int64s(g.paddingBefore), int64s(g.paddingAfter)];
const poolArgs = (g: PoolGeometry) => [
  int64s(g.strides),
  int64s(g.kernel),
  int64s(g.dilations),
  int64s(g.paddingBefore),
  int64s(g.paddingAfter),
];

export function createApi(library: NativeLibrary): Api {
  const { declare, create, engine, attributes, shared } = bind(library);
  const byTag = declare("dnnl_memory_desc_create_with_tag", "void *md, int ndims, const void *dims, int type, int tag");
  const submemory = declare("dnnl_memory_desc_create_submemory", "void *md, size_t parent, const void *dims, const void *offsets");
  const getSize = declare("dnnl_memory_desc_get_size", "size_t md", "size_t");
  const equal = declare("dnnl_memory_desc_equal", "size_t a, size_t b");
  const window = "const void *strides, const void *dilates, const void *before, const void *after";
  const pool = "const void *strides, const void *kernel, const void *dilation, const void *before, const void *after";
  const convForward = declare(
    "dnnl_convolution_forward_primitive_desc_create",
    `void *pd, size_t engine, int prop, int alg, size_t src, size_t w, size_t bias, size_t dst, ${window}, size_t attr`,
  );
  const convData = declare(
    "dnnl_convolution_backward_data_primitive_desc_create",
    `void *pd, size_t engine, int alg, size_t src, size_t w, size_t dst, ${window}, size_t hint, size_t attr`,
  );
  const convWeights = declare(
    "dnnl_convolution_backward_weights_primitive_desc_create",
    `void *pd, size_t engine, int alg, size_t src, size_t w, size_t bias, size_t dst, ${window}, size_t hint, size_t attr`,
  );
  const normForward = declare(
    "dnnl_batch_normalization_forward_primitive_desc_create",
    "void *pd, size_t engine, int prop, size_t src, size_t dst, float epsilon, uint32_t flags, size_t attr",
  );
  const normBackward = declare(
    "dnnl_batch_normalization_backward_primitive_desc_create",
    "void *pd, size_t engine, int prop, size_t diffSrc, size_t diffDst, size_t src, float epsilon, uint32_t flags, size_t hint, size_t attr",
  );
  const eltwiseForward = declare(
    "dnnl_eltwise_forward_primitive_desc_create",
    "void *pd, size_t engine, int prop, int alg, size_t src, size_t dst, float alpha, float beta, size_t attr",
  );
  const eltwiseBackward = declare(
    "dnnl_eltwise_backward_primitive_desc_create",
    "void *pd, size_t engine, int alg, size_t diffSrc, size_t diffDst, size_t data, float alpha, float beta, size_t hint, size_t attr",
  );
  const poolForward = declare(
    "dnnl_pooling_forward_primitive_desc_create",
    `void *pd, size_t engine, int prop, int alg, size_t src, size_t dst, ${pool}, size_t attr`,
  );
  const poolBackward = declare(
    "dnnl_pooling_backward_primitive_desc_create",
    `void *pd, size_t engine, int alg, size_t diffSrc, size_t diffDst, ${pool}, size_t hint, size_t attr`,
  );
  const binary = declare(
    "dnnl_binary_primitive_desc_create",
    "void *pd, size_t engine, int alg, size_t a, size_t b, size_t dst, size_t attr",
  );
  const appendEltwise = declare("dnnl_post_ops_append_eltwise", "size_t postOps, int alg, float alpha, float beta");
  const appendSum = declare("dnnl_post_ops_append_sum", "size_t postOps, float scale, int32_t zeroPoint, int type");
  const reorder = declare(
    "dnnl_reorder_primitive_desc_create",
    "void *pd, size_t src, size_t srcEngine, size_t dst, size_t dstEngine, size_t attr",
  );
  const out = new BigUint64Array(1);

  return {
    ...shared,
    major: 3,
    normGradientTakesShift: false,
    descByTag: (dims, tag) => {
      check(byTag(out, dims.length, int64s(dims), F32, TAGS[tag]), `describing [${dims}]`);
      return Number(out[0]);
    },
    submemory: (parent, dims, offsets) => (submemory(out, parent, int64s(dims), int64s(offsets)) === 0 ? Number(out[0]) : 0),
    descBytes: (desc) => Number(getSize(desc)),
    descEqual: (a, b) => equal(a, b) === 1,
    convForward: (algorithm, prop, src, weights, bias, dst, g, attr = 0) =>
      create(convForward, "preparing a convolution", engine, prop, CONVOLUTION[algorithm], src, weights, bias, dst, ...windowArgs(g), attr),
    postOpArg: (place) => POST_OP * (place + 1) + ARG.src1,
    attributes: attributes({
      sum: (list) => appendSum(list, 1, 0, UNDEFINED),
      eltwise: (list, { algorithm, alpha, beta }) => appendEltwise(list, ELTWISE[algorithm], ...coefficients(algorithm, alpha, beta)),
    }),
    convBackwardData: (algorithm, src, weights, dst, g, hint) =>
      create(
        convData,
        "preparing a convolution's data gradient",
        engine,
        CONVOLUTION[algorithm],
        src,
        weights,
        dst,
        ...windowArgs(g),
        hint,
        0,
      ),
    convBackwardWeights: (algorithm, src, weights, bias, dst, g, hint) =>
      create(
        convWeights,
        "preparing a convolution's weight gradient",
        engine,
        CONVOLUTION[algorithm],
        src,
        weights,
        bias,
        dst,
        ...windowArgs(g),
        hint,
        0,
      ),
    normForward: (prop, data, epsilon, flags) =>
      create(normForward, "preparing a batch normalisation", engine, prop, data, data, epsilon, normFlags(flags), 0),
    normBackward: (diff, data, epsilon, flags, hint) =>
      create(
        normBackward,
        "preparing a batch normalisation's gradient",
        engine,
        PROP.backward,
        diff,
        diff,
        data,
        epsilon,
        normFlags(flags),
        hint,
        0,
      ),
    eltwiseForward: (algorithm, data, alpha, beta) =>
      create(
        eltwiseForward,
        "preparing an activation",
        engine,
        PROP.training,
        ELTWISE[algorithm],
        data,
        data,
        ...coefficients(algorithm, alpha, beta),
        0,
      ),
    eltwiseBackward: (algorithm, diff, data, alpha, beta, hint) =>
      create(
        eltwiseBackward,
        "preparing an activation's gradient",
        engine,
        ELTWISE[algorithm],
        diff,
        diff,
        data,
        ...coefficients(algorithm, alpha, beta),
        hint,
        0,
      ),
    poolForward: (prop, algorithm, src, dst, g) =>
      create(poolForward, "preparing a pooling", engine, prop, POOL[algorithm], src, dst, ...poolArgs(g), 0),
    poolBackward: (algorithm, src, dst, g, hint) =>
      create(poolBackward, "preparing a pooling's gradient", engine, POOL[algorithm], src, dst, ...poolArgs(g), hint, 0),
    binary: (algorithm, a, b, dst, attr = 0) =>
      create(binary, "preparing an element-wise operation", engine, BINARY[algorithm], a, b, dst, attr),
    reorder: (src, dst) => create(reorder, "preparing a reorder", src, engine, dst, engine, 0),
  };
}
