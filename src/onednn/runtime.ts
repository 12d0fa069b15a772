/** @file The engine of this process: library, memory, interned layouts, cached primitives. */
import koffi from "koffi";
import { AppError } from "../errors.ts";
import { type Api, type Desc, type Handle, NONE, type Tag } from "./api.ts";
import { channelBlock, loadLibrary, type OneDnnLibrary, readCpuInfo } from "./library.ts";
import { type Block, createMemoryPool, type MemoryPool } from "./memory.ts";
import { createApi as createApi2 } from "./v2.ts";
import { createApi as createApi3 } from "./v3.ts";

/** A memory descriptor that is created once and compared by identity. */
export interface Layout {
  readonly id: number;
  readonly desc: Desc;
  readonly dims: readonly number[];
  readonly bytes: number;
  /** True for row-major layouts, whose floats JavaScript may read. */
  readonly isPlain: boolean;
}

/** A compiled oneDNN operation with room for its arguments. */
export interface Primitive {
  readonly handle: Handle;
  readonly descriptor: Handle;
  readonly args: BigUint64Array;
}

export interface Runtime {
  readonly library: OneDnnLibrary;
  readonly api: Api;
  readonly pool: MemoryPool;
  /** Channels per block of the activation layout. */
  readonly channelBlock: 8 | 16;
  layout(dims: readonly number[], tag: Tag): Layout;
  /** A layout that oneDNN chose, from a primitive descriptor's query. */
  adopt(desc: Desc, dims: readonly number[]): Layout;
  /** Returns what `make` made for this key the first time. */
  cached<T>(key: string, make: () => T): T;
  compile(descriptor: Handle, what: string): Primitive;
  execute(primitive: Primitive, ...args: readonly (readonly [argument: number, layout: Layout, block: Block])[]): void;
  setThreads(count: number): void;
  threads(): number;
}

const MAX_ARGS = 24;
/** Above every DNNL_ARG number in use but those of post-operations. */
const MAX_ARGUMENT = 1100;
const PLAIN: readonly Tag[] = ["a", "ab", "abcd", "abcde"];

function createRuntime(library: OneDnnLibrary): Runtime {
  const api = (library.version.major === 2 ? createApi2 : createApi3)(library.library);
  const pool = createMemoryPool((block) => {
    for (const memory of block.memories.values()) api.destroyMemory(Number(memory));
  });
  const layouts = new Map<string, Layout>();
  const adopted: Layout[] = [];
  const cache = new Map<string, unknown>();
  let nextId = 0;
  const openmp = loadOpenMp();

  const bigArgs = Array.from({ length: MAX_ARGUMENT }, (_, i) => BigInt(i));
  const intern = (desc: Desc, dims: readonly number[], isPlain: boolean): Layout => ({
    id: nextId++,
    desc,
    dims: [...dims],
    bytes: api.descBytes(desc),
    isPlain,
  });
  const memoryOf = (layout: Layout, block: Block): bigint => {
    let memory = block.memories.get(layout.id);
    if (memory === undefined) {
      memory = BigInt(api.memory(layout.desc, block.address));
      block.memories.set(layout.id, memory);
    }
    return memory;
  };
  return {
    library,
    api,
    pool,
    channelBlock: channelBlock(readCpuInfo()),
    layout: (dims, tag) => {
      const key = `${tag}:${dims}`;
      let layout = layouts.get(key);
      if (!layout) {
        layout = intern(api.descByTag(dims, tag), dims, PLAIN.includes(tag));
        layouts.set(key, layout);
      }
      return layout;
    },
    adopt: (desc, dims) => {
      for (const layout of layouts.values()) if (layout.dims.length === dims.length && api.descEqual(layout.desc, desc)) return layout;
      for (const layout of adopted) if (api.descEqual(layout.desc, desc)) return layout;
      const layout = intern(desc, dims, false);
      adopted.push(layout);
      return layout;
    },
    cached: <T>(key: string, make: () => T): T => {
      let value = cache.get(key);
      if (value === undefined) {
        value = make();
        cache.set(key, value);
      }
      return value as T;
    },
    compile: (descriptor, what) => {
      if (descriptor === NONE)
        throw new AppError(
          "BACKEND",
          `engine: oneDNN ${library.version.major}.${library.version.minor} must implement ${what}, got "unimplemented"`,
        );
      return { handle: api.primitive(descriptor), descriptor, args: new BigUint64Array(2 * MAX_ARGS) };
    },
    execute: (primitive, ...args) => {
      const packed = primitive.args;
      for (let i = 0; i < args.length; i++) {
        const [argument, layout, block] = args[i]!;
        packed[2 * i] = bigArgs[argument] ?? BigInt(argument);
        packed[2 * i + 1] = memoryOf(layout, block);
      }
      api.execute(primitive.handle, args.length, packed);
    },
    setThreads: (count) => openmp.setThreads(count),
    threads: () => openmp.threads(),
  };
}

function loadOpenMp() {
  try {
    const library = koffi.load(process.platform === "darwin" ? "libomp.dylib" : "libgomp.so.1");
    const set = library.func("void omp_set_num_threads(int count)");
    const get = library.func("int omp_get_max_threads()");
    return { setThreads: (count: number) => void set(count), threads: () => get() as number };
  } catch {
    return { setThreads: () => {}, threads: () => 1 };
  }
}

let current: Runtime | null = null;

/** The process's engine, loaded at the first call. @throws AppError BACKEND when oneDNN cannot be used here */
export function runtime(): Runtime {
  current ??= createRuntime(loadLibrary());
  return current;
}
