/** @file Suggestions for mistyped names. */
import { distance } from "fastest-levenshtein";

/** The name nearest to `word` by edit distance, or null when none is near. */
export function nearest(word: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(word.length / 2)) + 1;
  for (const name of names) {
    const d = distance(word, name);
    if (d < bestDistance) [best, bestDistance] = [name, d];
  }
  return best;
}
