/**
 * What tests have counted, printed when all have run: a run that has become smaller is seen. Tests run in processes of
 * their own; each appends its lines to one file, and the first process prints them.
 */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Adds a line under `heading`; equal lines are counted, and those with an amount are added up. */
export function tally(heading: string, line: string, amount?: number): void {
  const path = process.env.COOP_TALLY;
  if (path !== undefined) appendFileSync(path, `${JSON.stringify([heading, line, amount])}\n`);
}

export default function collect(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "cooperator-tally-"));
  const path = join(folder, "lines");
  appendFileSync(path, "");
  process.env.COOP_TALLY = path;
  return () => {
    const headings = new Map<string, string[]>();
    const sums = new Map<string, number>();
    for (const text of readFileSync(path, "utf8").split("\n")) {
      if (text === "") continue;
      const [heading, line, amount] = JSON.parse(text) as [string, string, number | null];
      const lines = headings.get(heading) ?? [];
      headings.set(heading, lines);
      if (amount === null) lines.push(line);
      else {
        const place = JSON.stringify([heading, line]);
        sums.set(place, (sums.get(place) ?? 0) + amount);
      }
    }
    for (const [place, sum] of sums) {
      const [heading, line] = JSON.parse(place) as [string, string];
      headings.get(heading)!.push(`${sum.toLocaleString("en-US")} ${line}`);
    }
    rmSync(folder, { recursive: true });
    for (const [heading, lines] of [...headings].sort()) {
      console.log(`\n${heading}`);
      const counts = new Map<string, number>();
      for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
      for (const [line, count] of [...counts].sort())
        console.log(`  ${count === 1 ? "" : `${count} times `}${line}`);
    }
  };
}
