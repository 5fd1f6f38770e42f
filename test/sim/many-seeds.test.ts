/** The same random programs on all cores, in threads of another process: as many seeds as the lane has time for. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { dist } from "../support/children.ts";

const SEEDS = process.env.COOP_LANE === "ci" ? 200_000 : 400;
/** For hangs only: the seeds of CI take some two minutes on two cores. */
const LIMIT_MS = 900_000;
const program = fileURLToPath(new URL("../stress/simulate.mjs", import.meta.url));

test(`${SEEDS} seeds of the simulation break no rule`, { timeout: LIMIT_MS }, async () => {
  const { runs, seconds, faults, operations, failures } = await simulate();
  expect(failures).toEqual([]);
  expect(runs).toBe(SEEDS);
  const struck = Object.values(faults).reduce((sum, count) => sum + count, 0);
  console.log(`${runs} seeds, ${operations} operations, ${struck} faults in ${seconds} s`);
});

interface Simulated {
  readonly runs: number;
  readonly operations: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly failures: readonly string[];
}

function simulate(): Promise<Simulated> {
  const args = [program, dist, "--seeds", String(SEEDS), "--from", "1001"];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { timeout: LIMIT_MS - 5000 }, (error, stdout, stderr) => {
      if (stdout === "") reject(error ?? new Error(stderr));
      else resolve(JSON.parse(stdout));
    });
  });
}
