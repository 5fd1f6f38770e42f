/** B18 on random programs. A seed that ever fails is added to the list below and stays there. */
import { expect, test } from "vitest";
import { exhaustive } from "../support/harness.ts";
import { randomProgram } from "../support/random-program.ts";

/** Few on every run, many in CI: the cost grows with the square of a program. */
const CI = process.env.COOP_LANE === "ci";
const SEEDS = CI ? 20 : 10;
const DEPTH = CI ? 3 : 2;
const PAIR_SEEDS = CI ? 12 : 1;
const REGRESSIONS: readonly number[] = [];

test(`B18 ${SEEDS} random programs survive a kill of any task at any point`, () => {
  let runs = 0;
  let largest = 0;
  for (const seed of [...REGRESSIONS, ...Array.from({ length: SEEDS }, (_, i) => i + 1)]) {
    try {
      const result = exhaustive(randomProgram(seed, DEPTH), { pointsMax: 5_000 });
      runs += result.runs;
      largest = Math.max(largest, result.points);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  // The programs may change with the generator, but not shrink to nothing.
  expect(largest).toBeGreaterThan(50);
  expect(runs).toBeGreaterThan(300);
}, 120_000);

test("B18 small random programs survive any two kills", () => {
  let runs = 0;
  for (let seed = 1; seed <= PAIR_SEEDS; seed++) {
    try {
      runs += exhaustive(randomProgram(seed, 1), { kills: 2, pointsMax: 5_000 }).runs;
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  expect(runs).toBeGreaterThan(300);
}, 120_000);
