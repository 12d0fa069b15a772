/** @file BISMO: cycles of one product of bit matrices, while weights and activations stream in plane by plane. */
import type { Precision } from "./precision.ts";

/** Bits of a word, which a processing element multiplies and counts per cycle. */
export const WORD_BITS = 256;

/** A square of processing elements: each row takes an activation vector, each column a filter. */
export interface BitSerialArray {
  readonly side: number;
  /** Cycles for a word, on each of two ports: one for weights, one for activations. */
  readonly cyclesPerWord: number;
  /** Words in each of the two on-chip memories. */
  readonly memoryWords: number;
}

/** `vectors` activation vectors times `filters` filters, both of `depth` words per bit. */
export interface BitProduct extends Precision {
  readonly vectors: number;
  readonly filters: number;
  readonly depth: number;
}

/** What the outer loop over the array's tiles runs over. Its operand stays while the other one is walked through. */
type Outer = "vectors" | "filters";
const OUTER: readonly Outer[] = ["vectors", "filters"];

/** When the words of one operand are there: tile by tile, in a tile word by word, in a word bit by bit, one cycle for each row. */
interface Stream {
  readonly tiles: number;
  readonly end: number;
  arrival(tile: number, word: number, bit: number): number;
}

function streamOf(rows: number, depth: number, bits: number, { side, cyclesPerWord }: BitSerialArray): Stream {
  return {
    tiles: Math.ceil(rows / side),
    end: cyclesPerWord * rows * depth * bits,
    arrival: (tile, word, bit) =>
      cyclesPerWord * (tile * side * depth * bits + (word * bits + bit + 1) * Math.min(side, rows - tile * side)),
  };
}

/** One tile against another: a cycle for each pair of bits and word, not before both have arrived. The outer operand's bits go fastest. */
function tileEnd(start: number, depth: number, outer: readonly [Stream, number, number], inner: readonly [Stream, number, number]): number {
  const [outerStream, outerTile, outerBits] = outer;
  const [innerStream, innerTile, innerBits] = inner;
  const isThere =
    start >= outerStream.arrival(outerTile, depth - 1, outerBits - 1) && start >= innerStream.arrival(innerTile, depth - 1, innerBits - 1);
  if (isThere) return start + depth * outerBits * innerBits;
  let now = start;
  for (let word = 0; word < depth; word++) {
    for (let j = 0; j < innerBits; j++) {
      const innerArrival = innerStream.arrival(innerTile, word, j);
      for (let i = 0; i < outerBits; i++) now = Math.max(now + 1, outerStream.arrival(outerTile, word, i), innerArrival);
    }
  }
  return now;
}

/** Cycles of a product whose operands both fit into memory. */
function blockCycles(product: BitProduct, array: BitSerialArray, order: Outer): number {
  const { vectors, filters, depth, weightBits, activationBits } = product;
  const activations = streamOf(vectors, depth, activationBits, array);
  const weights = streamOf(filters, depth, weightBits, array);
  const [outer, outerBits, inner, innerBits] =
    order === "vectors" ? [activations, activationBits, weights, weightBits] : [weights, weightBits, activations, activationBits];
  let now = 0;
  for (let o = 0; o < outer.tiles; o++) {
    for (let i = 0; i < inner.tiles; i++) {
      if (now >= outer.end && now >= inner.end) {
        const rest = (outer.tiles - o) * inner.tiles - i;
        return now + rest * depth * weightBits * activationBits;
      }
      now = tileEnd(now, depth, [outer, o, outerBits], [inner, i, innerBits]);
    }
  }
  return now;
}

/** Cuts `rows` into blocks of whole tiles that fit into memory; of one tile when even that does not. Block size → how many. */
function blocksOf(rows: number, wordsPerRow: number, { side, memoryWords }: BitSerialArray): [size: number, count: number][] {
  const size = side * Math.max(1, Math.floor(memoryWords / wordsPerRow / side));
  const rest = rows % size;
  return [...(rows >= size ? [[size, Math.floor(rows / size)] as [number, number]] : []), ...(rest ? [[rest, 1] as [number, number]] : [])];
}

/**
 * Cycles of a product. Blocks of vectors and filters that fit into memory run one after the other, each loaded anew; within a block
 * loading and computing overlap. The better of the two loop orders is taken for the whole product.
 *
 * Source: deduced from the cycle table of HAQ (Wang et al., CVPR 2019, arXiv:1811.08886), which it reproduces to the cycle.
 */
export function productCycles(product: BitProduct, array: BitSerialArray): number {
  const { vectors, filters, depth, weightBits, activationBits } = product;
  const vectorBlocks = blocksOf(vectors, depth * activationBits, array);
  const filterBlocks = blocksOf(filters, depth * weightBits, array);
  const totals = OUTER.map((order) => {
    let total = 0;
    for (const [v, vectorCount] of vectorBlocks) {
      for (const [f, filterCount] of filterBlocks) {
        total += vectorCount * filterCount * blockCycles({ ...product, vectors: v, filters: f }, array, order);
      }
    }
    return total;
  });
  return Math.min(...totals);
}
