import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Cooperator, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { killEverywhere } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { now, sleep, sleepUntil } from "../../src/time/sleep.ts";
import { checked, runChecked } from "../support/harness.ts";

test("never wakes early, and on a virtual clock not late either", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(20), fc.double({ min: 0, max: 50, noNaN: true })), {
        minLength: 1,
        maxLength: 30,
      }),
      (durations) => {
        const rt = new VirtualRuntime();
        const woken: number[] = [];
        rt.run(function* () {
          for (const [i, ms] of durations.entries()) {
            spawn(function* () {
              const start = now();
              yield* sleep(ms);
              expect(now() - start).toBeGreaterThanOrEqual(ms * (1 - 1e-12));
              expect(now() - start).toBeCloseTo(ms, 6);
              woken.push(i);
            });
          }
          yield* sleep(1000);
        }).result;
        // Equal ones wake in the order in which they fell asleep.
        const order = durations.map((_, i) => i).sort((a, b) => durations[a]! - durations[b]! || a - b);
        expect(woken.map((i) => durations[i])).toEqual(order.map((i) => durations[i]));
        checked(rt);
      },
    ),
    { numRuns: 100, seed: 11 },
  );
});

test("equal deadlines wake first in first out, also when some are killed", () => {
  const log: number[] = [];
  runChecked(function* () {
    const tasks = Array.from({ length: 50 }, (_, i) =>
      spawn(function* () {
        yield* sleep(5);
        log.push(i);
      }),
    );
    yield* sleep(1);
    for (let i = 0; i < 50; i += 7) tasks[i]!.kill();
    yield* sleep(10);
  });
  expect(log).toEqual(Array.from({ length: 50 }, (_, i) => i).filter((i) => i % 7 !== 0));
});

test("zero lets others run once, and takes no time", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  rt.run(function* () {
    spawn(function* () {
      log.push("other");
    });
    yield* sleep(0);
    log.push("sleeper");
    yield* sleep("0 ms");
    expect(rt.now).toBe(0);
    expect(rt.timers.size).toBe(0);
  }).result;
  expect(log).toEqual(["other", "sleeper"]);
  checked(rt);
});

test("sleepUntil waits for a time of now(); one that has passed lets others run once", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    yield* sleep(10);
    yield* sleepUntil(25);
    expect(now()).toBe(25);
    for (const past of [25, 24, 0, -5, Number.NEGATIVE_INFINITY]) {
      yield* sleepUntil(past);
      expect(now()).toBe(25);
    }
  }).result;
  checked(rt);
});

test("forever: no timer is armed; only a kill ends it", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    for (const operation of [
      () => sleep(Number.POSITIVE_INFINITY),
      () => sleepUntil(Number.POSITIVE_INFINITY),
    ]) {
      const task = spawn(function* () {
        yield* operation();
      });
      yield* yieldNow();
      expect(task.status).toBe("blocked");
      expect(rt.timers.size).toBe(0);
      expect((yield* task.killAndWait()).status).toBe("killed");
    }
  }).result;
  expect(rt.now).toBe(0);
  checked(rt);
});

test("centuries", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    yield* sleep("52000 weeks");
    expect(now()).toBe(52000 * 604800e3);
    yield* sleep(1);
    expect(now()).toBe(52000 * 604800e3 + 1);
  }).result;
  checked(rt);
});

test("a kill takes the timer off at once", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const task = spawn(function* () {
      yield* sleep("1 day");
    });
    yield* yieldNow();
    expect(rt.timers.size).toBe(1);
    task.kill();
    expect(rt.timers.size).toBe(0);
    yield* task.settled();
  }).result;
  expect(rt.now).toBe(0);
  checked(rt);
});

describe("misuse", () => {
  test("a duration that is none is an error of the call", () => {
    for (const bad of [-1, Number.NaN, "soon", undefined]) {
      expect(() => sleep(bad as number)).toThrow(expect.objectContaining({ code: "COOP_DURATION" }));
    }
    for (const bad of [Number.NaN, "soon", undefined]) {
      expect(() => sleepUntil(bad as number)).toThrow(expect.objectContaining({ code: "COOP_DURATION" }));
    }
  });

  test("without a task, or without a clock", () => {
    expect(() => now()).toThrow(expect.objectContaining({ code: "COOP_NO_TASK" }));
    const cooperator = new Cooperator({ host: { requestTurn() {}, panic() {} }, report() {}, name: "bare" });
    const task = cooperator.spawn(
      function* () {
        yield* sleep(1);
      },
      { failure: "hold" },
    );
    cooperator.turn();
    expect(task.exit).toMatchObject({ status: "failed", error: { code: "COOP_NO_CLOCK" } });
    expect((task.exit as { error: Error }).error.message).toContain("bare has no clock");
  });
});

test("the same sleep may be run again, and then takes its time again", () => {
  runChecked(function* () {
    const nap = sleep(10);
    yield* nap;
    yield* nap;
    expect(now()).toBe(20);
  });
});

test("wherever a kill strikes, no timer is left", () => {
  const { reach, runs } = killEverywhere(() => ({
    body: function* () {
      for (let i = 0; i < 4; i++) {
        spawn(function* () {
          yield* sleep(i);
          yield* sleep(2);
          yield* sleep(0);
        });
      }
      yield* sleep(20);
    },
  }));
  expect(reach).toBe(1);
  expect(runs).toBeGreaterThan(50);
});
