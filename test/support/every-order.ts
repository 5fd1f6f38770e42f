/** Every order of a small program, undisturbed and with one kill of anybody anywhere. */
import { expect } from "vitest";
import { type InterleavedProgram, type InterleaveOptions, interleave } from "../../src/testing/interleave.ts";
import { tally } from "./tally.ts";

/** All orders with a kill where there is time; else those that leave a task only where it has to wait. */
const ALL = process.env.COOP_LANE === "ci";
/** Programs with fewer schedules are also run one schedule at a time, to see that their state is all of it. */
const VERIFIED_MAX = 2_500;

/** Runs of a program with all its kills: more take longer than the rest of the tests. */
const RUNS_MAX = 500_000;

export type StatefulProgram = InterleavedProgram & { readonly state: () => unknown };

/** `name` is what the schedules are counted under. */
export function everyOrder(name: string, program: () => StatefulProgram, options?: InterleaveOptions): void {
  const free = interleave(program, options);
  const killed = interleave(program, {
    ...options,
    ...(ALL ? { schedulesMax: RUNS_MAX } : { preemptions: 0 }),
    kills: 1,
  });
  expect(free.schedules).toBeGreaterThan(5);
  expect(killed.schedules).toBeGreaterThan(10);
  if (!ALL) return;
  let verified = 0;
  for (const [kills, { schedules }] of [free, killed].entries()) {
    if (schedules <= VERIFIED_MAX) verified += interleave(program, { ...options, kills, verify: true }).runs;
  }
  tally(
    "schedules of three tasks with three operations each, all of them run or counted",
    `${name}: ${free.schedules}, and ${killed.schedules} with a kill; ${free.runs + killed.runs} runs` +
      (verified > 0 ? `; ${verified} also one by one` : ""),
  );
}
