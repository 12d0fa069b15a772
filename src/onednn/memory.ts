/** @file Native memory in reference-counted blocks, recycled by size so that a training run stops asking the system for more. */
import koffi from "koffi";
import { AppError } from "../errors.ts";

const ALIGNMENT = 64;
const HUGE_PAGE_BYTES = 2 << 20;
const MADV_HUGEPAGE = 14;

/** A block of native memory. `references` counts the tensors on it; at 0 it goes back to the pool. */
export interface Block {
  readonly address: number;
  readonly bytes: number;
  references: number;
  /** oneDNN memory objects on this block by layout id: creating one costs more than running a small layer. */
  readonly memories: Map<number, bigint>;
  /** The block as floats, made when first asked for. */
  view: Float32Array | null;
  /** Parts that begin at some byte, with memory objects of their own. */
  readonly slices: Map<number, Block>;
}

export interface MemoryPool {
  allocate(bytes: number): Block;
  retain(block: Block): void;
  release(block: Block): void;
  /** The block from byte `offset` on; lives and dies with the block and is not counted itself. */
  slice(block: Block, offset: number): Block;
  /** Bytes taken from the system, and how many of them are in use. */
  statistics(): { readonly totalBytes: number; readonly usedBytes: number; readonly peakBytes: number; readonly blocks: number };
  /** Starts `peakBytes`, the most in use at once, again from what is in use now. */
  resetPeak(): void;
  /** Gives every unused block back to the system. */
  trim(): void;
}

/** Next size with at most 1/8 of slack, so that shapes that differ little share blocks. */
export function sizeClass(bytes: number): number {
  if (bytes <= 4096) return Math.max(ALIGNMENT, 2 ** Math.ceil(Math.log2(bytes)));
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 3);
  return Math.ceil(bytes / step) * step;
}

export function createMemoryPool(onFree: (block: Block) => void): MemoryPool {
  const system = koffi.load(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6");
  const alignedAlloc = system.func("size_t aligned_alloc(size_t alignment, size_t bytes)");
  const free = system.func("void free(size_t address)");
  const madvise = process.platform === "linux" ? system.func("int madvise(size_t address, size_t bytes, int advice)") : null;
  const unused = new Map<number, Block[]>();
  let totalBytes = 0;
  let usedBytes = 0;
  let peakBytes = 0;
  let blocks = 0;

  const fresh = (bytes: number): Block => {
    const isHuge = bytes >= 2 * HUGE_PAGE_BYTES;
    const address = Number(alignedAlloc(isHuge ? HUGE_PAGE_BYTES : ALIGNMENT, bytes));
    if (address === 0) throw new AppError("BACKEND", `engine: ${bytes} bytes of memory must be available, got none — use a smaller batch`);
    if (isHuge) madvise?.(address, bytes, MADV_HUGEPAGE);
    totalBytes += bytes;
    blocks++;
    return { address, bytes, references: 0, memories: new Map(), view: null, slices: new Map() };
  };

  return {
    allocate: (wanted) => {
      const bytes = sizeClass(wanted);
      const block = unused.get(bytes)?.pop() ?? fresh(bytes);
      block.references = 1;
      usedBytes += bytes;
      peakBytes = Math.max(peakBytes, usedBytes);
      return block;
    },
    retain: (block) => {
      block.references++;
    },
    release: (block) => {
      if (--block.references > 0) return;
      if (block.references < 0) throw new AppError("INTERNAL", "internal: a tensor was freed twice");
      usedBytes -= block.bytes;
      const list = unused.get(block.bytes);
      if (list) list.push(block);
      else unused.set(block.bytes, [block]);
    },
    slice: (block, offset) => {
      let part = block.slices.get(offset);
      if (!part) {
        const bytes = block.bytes - offset;
        part = { address: block.address + offset, bytes, references: 1, memories: new Map(), view: null, slices: new Map() };
        block.slices.set(offset, part);
      }
      return part;
    },
    statistics: () => ({ totalBytes, usedBytes, peakBytes, blocks }),
    resetPeak: () => {
      peakBytes = usedBytes;
    },
    trim: () => {
      for (const list of unused.values()) {
        for (const block of list) {
          for (const part of block.slices.values()) onFree(part);
          onFree(block);
          free(block.address);
          totalBytes -= block.bytes;
          blocks--;
        }
      }
      unused.clear();
    },
  };
}

/** The block as floats; valid while the block is referenced. */
export function floats(block: Block): Float32Array {
  block.view ??= new Float32Array(koffi.view(BigInt(block.address), block.bytes));
  return block.view;
}
