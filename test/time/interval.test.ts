/** Intervals: a grid that does not drift, and ticks that are dropped when they are late. */
import { expect, test } from "vitest";
import { never, spawn, UsageError, yieldNow } from "../../src/coordinator/index.ts";
import { select, trySelect } from "../../src/sync/select.ts";
import { every } from "../../src/time/interval.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { exhaustive, runChecked } from "../support/harness.ts";

test("ticks come at equal distances, the first one period from the start", () => {
  runChecked(function* () {
    yield* sleep(3);
    const ticks = every(10);
    const at: number[] = [];
    for (let i = 0; i < 4; i++) {
      expect(yield* ticks.next()).toBe(0);
      at.push(now());
    }
    expect(at).toEqual([13, 23, 33, 43]);
  });
});

test("work between two ticks does not move the grid; what is missed is dropped and counted", () => {
  runChecked(function* () {
    const ticks = every(10);
    yield* ticks.next();
    yield* sleep(4);
    expect(yield* ticks.next()).toBe(0);
    expect(now()).toBe(20);
    yield* sleep(35);
    expect(yield* ticks.next()).toBe(2);
    expect(now()).toBe(55);
    expect(yield* ticks.next()).toBe(0);
    expect(now()).toBe(60);
  });
});

test("a period that is no round number does not drift", () => {
  runChecked(function* () {
    const ticks = every(0.1);
    for (let i = 0; i < 10_000; i++) yield* ticks.next();
    expect(Math.abs(now() - 1000)).toBeLessThan(1e-3);
  });
});

test("it is an arm, and one that loses keeps its tick", () => {
  runChecked(function* () {
    const ticks = every(10);
    expect((yield* select({ tick: ticks.next(), soon: sleep(4) })).key).toBe("soon");
    expect(trySelect({ tick: ticks.next() })).toBe(null);
    expect(yield* select({ tick: ticks.next(), never: never() })).toEqual({ key: "tick", value: 0 });
    expect(now()).toBe(10);
    yield* sleep(10);
    expect(trySelect({ tick: ticks.next() })).toEqual({ key: "tick", value: 0 });
  });
});

test("two that wait for the same tick both get it", () => {
  runChecked(function* () {
    const ticks = every(10);
    const tasks = [spawn(ticks.next()), spawn(ticks.next())];
    for (const task of tasks) expect(yield* task.join()).toBe(0);
    expect(yield* ticks.next()).toBe(0);
    expect(now()).toBe(20);
  });
});

test("a kill leaves no timer, at any point", () => {
  exhaustive(() => ({
    body: function* () {
      const ticks = every(1);
      for (let i = 0; i < 3; i++) yield* ticks.next();
    },
  }));
});

test("a period that is none is a typed error", () => {
  runChecked(function* () {
    for (const period of [0, -1, Number.POSITIVE_INFINITY, "soon"])
      expect(() => every(period)).toThrow(UsageError);
    yield* yieldNow();
  });
  expect(() => every(1)).toThrow(/needs a running task/);
});
