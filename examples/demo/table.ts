/** Numbers for people. */

export type Row = readonly [what: string, value: string];

export function formatTable(title: string, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([what]) => what.length));
  const right = Math.max(...rows.map(([, value]) => value.length));
  const line = "─".repeat(width + right + 2);
  return [title, line, ...rows.map(([what, value]) => `${what.padEnd(width)}  ${value}`), line].join("\n");
}

/** The smallest value that `part` of the values do not exceed. */
export function percentile(values: readonly number[], part: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)]!;
}

export function integer(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

export function milliseconds(value: number): string {
  return Number.isNaN(value) ? "–" : `${value.toFixed(2)} ms`;
}
