/** @file What nothing else beats in every respect. */

/**
 * Items that no other item is at least as good as in every objective and better in one. Of items that are equal in all, the first stays.
 * @param objectives numbers of an item, all to be made large; negate costs
 */
export function paretoFront<T>(items: readonly T[], objectives: (item: T) => readonly number[]): T[] {
  const rated = items.map((item) => ({ item, values: objectives(item) }));
  // from the best in the first objective on, an item can only be dominated by one before it
  rated.sort((a, b) => compare(b.values, a.values));
  const front: typeof rated = [];
  for (const one of rated) {
    if (!front.some(({ values }) => values.every((value, i) => value >= one.values[i]!))) front.push(one);
  }
  return front.map(({ item }) => item);
}

function compare(a: readonly number[], b: readonly number[]): number {
  const i = a.findIndex((value, at) => value !== b[at]);
  return i < 0 ? 0 : a[i]! - b[i]!;
}
