/** @file States of an agent: columns of equal weight. */

/** Columns scaled to [0, 1] over all rows; constant ones keep their size, 1 at most (the published code leaves them, however large). */
export function normalisedColumns(rows: readonly (readonly number[])[]): number[][] {
  const columns = (rows[0] ?? []).map((_, c) => rows.map((row) => row[c]!));
  const bounds = columns.map((values) => [Math.min(...values), Math.max(...values)] as const);
  return rows.map((row) =>
    row.map((value, c) =>
      bounds[c]![1] > bounds[c]![0] ? (value - bounds[c]![0]) / (bounds[c]![1] - bounds[c]![0]) : Math.min(1, Math.abs(value)),
    ),
  );
}
