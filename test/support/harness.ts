/** What every conformance test ends with: nothing is left alive, armed, queued or unreported. */
import { expect } from "vitest";
import type { Body, Coordinator, Signal } from "../../src/coordinator/index.ts";
import { ambientSeed } from "../../src/testing/ambient-seed.ts";
import { checkGate, checkQuiescent } from "../../src/testing/checks.ts";
import {
  type KillEverywhereOptions,
  type KillEverywhereResult,
  killEverywhere,
  type Program,
} from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { tally } from "./tally.ts";

const KILLED = "Every task killed at every point";

/**
 * Checks the invariants of a runtime that has nothing left to do, and that no task waits at `gates`. Reports
 * that a test expects it takes out first (`rt.reports.splice(0)`): one that is left fails the test.
 */
export function checked(rt: VirtualRuntime, ...gates: (Coordinator | Signal)[]): void {
  checkQuiescent(rt);
  for (const gate of gates) checkGate(gate);
  expect(
    rt.reports.map(({ kind, task, where, error }) => ({ kind, task: task?.label, where, error })),
  ).toEqual([]);
}

/**
 * The order of steps is the subject of the test, or what makes its race: it is not shuffled. Stands at the
 * beginning of its body.
 */
export function inOrder(): void {
  ambientSeed().ordered = true;
}

/** A size: under a seed, of which a test gets a thousand, the smaller one has to do. */
export function sized(full: number, underSeed: number): number {
  return ambientSeed().seed === null ? full : underSeed;
}

const TRIES = 5;

/**
 * One of `many` costs less than `factor` times what one of `few` does. Whatever else the machine does only adds: of
 * several tries the least counts.
 */
export function expectFlat(few: number, many: number, factor: number, cost: (count: number) => number): void {
  let small = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES; i++) small = Math.min(small, cost(few));
  let large = cost(many);
  for (let i = 1; i < TRIES && large >= small * factor; i++) large = Math.min(large, cost(many));
  expect(large / small).toBeLessThan(factor);
}

/** Numbers of random programs, 1 to `count`: all, or one of them under each seed. */
export function programs(count: number): readonly number[] {
  return sampled(
    Array.from({ length: count }, (_, i) => i + 1),
    1,
  );
}

/** Of `cases` all, or under a seed so many, others under each. */
export function sampled<T>(cases: readonly T[], underSeed: number): readonly T[] {
  const { seed } = ambientSeed();
  if (seed === null) return cases;
  return Array.from({ length: underSeed }, (_, i) => cases[(seed * underSeed + i) % cases.length]!);
}

/** Runs `body` on a fresh virtual clock, checks the invariants, and gives its value or throws its error. */
export function runChecked<A>(body: Body<A>, ...gates: (Coordinator | Signal)[]): A {
  const rt = new VirtualRuntime();
  const main = rt.run(body);
  const value = main.result;
  checked(rt, ...gates);
  return value;
}

/** Kills every task of `program` at every point. A program that has lost its points fails. */
export function exhaustive(program: () => Program, options?: KillEverywhereOptions): KillEverywhereResult {
  const result = killEverywhere(program, options);
  expect(result.points).toBeGreaterThan(0);
  expect(result.reach).toBeGreaterThanOrEqual(0.99);
  const kills = result.runs - 1;
  tally(KILLED, "programs", 1);
  tally(KILLED, "points at which a task can be killed", result.points);
  tally(KILLED, "runs with a kill", kills);
  tally(KILLED, "of them in which the kill found its task", Math.round(kills * result.reach));
  return result;
}
