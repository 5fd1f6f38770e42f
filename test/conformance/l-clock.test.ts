/** Section L, the clock of tests: it stands still, jumps, or moves at a rate, and never goes back. */
import { expect, test } from "vitest";
import { Coordinator, coordinateWith, group, op, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { untilAllBlocked } from "../../src/testing/all-blocked.ts";
import type { Program } from "../../src/testing/kill-everywhere.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";

test("L01 time stands still while tasks run, and jumps only when every task is blocked", () => {
  const seen: number[] = [];
  runChecked(function* () {
    const busy = spawn(function* () {
      for (let i = 0; i < 1000; i++) {
        seen.push(now());
        yield* yieldNow();
      }
    });
    yield* sleep(5);
    expect(busy.exit).toMatchObject({ status: "done" });
    expect(now()).toBe(5);
  });
  expect(new Set(seen)).toEqual(new Set([0]));
});

test("L01 without autojump the clock moves when it is told to, and only then", () => {
  const rt = new VirtualRuntime({ autojump: false });
  const task = rt.run(function* () {
    yield* sleep(10);
    return now();
  });
  expect(task.exit).toBe(null);
  rt.advance(9.999);
  rt.drain();
  expect(task.exit).toBe(null);
  rt.advance(0.001);
  rt.drain();
  expect(task.result).toBe(10);
  checked(rt);
});

test("L01 a clock with a rate moves by itself, as fast as it was told, and never back", async () => {
  let real = 100;
  const rt = new VirtualRuntime({ autojump: false, clock: { rate: 60, real: () => (real += 0.25) } });
  const task = await rt.runAsync(function* () {
    const began = now();
    yield* sleep("1 second");
    return now() - began;
  });
  expect(task.result).toBeGreaterThanOrEqual(1000);
  expect(task.result).toBeLessThan(1200);
  const before = rt.now;
  real -= 50;
  expect(rt.now).toBeGreaterThanOrEqual(before);
  checked(rt);
});

test("L01 a clock with a rate jumps as well, when it may", async () => {
  const rt = new VirtualRuntime({ clock: { rate: 1, real: () => 0 } });
  const task = await rt.runAsync(sleep("1 day"));
  expect(task.exit).toMatchObject({ status: "done" });
  expect(rt.now).toBeGreaterThanOrEqual(86_400_000);
});

test("L01 time that goes back is an error", () => {
  const rt = new VirtualRuntime();
  expect(() => rt.advance(-1)).toThrow("time does not go back");
  expect(() => rt.advance(Number.NaN)).toThrow("time does not go back");
  for (const rate of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => new VirtualRuntime({ clock: { rate } })).toThrow(
      expect.objectContaining({ code: "COOP_CLOCK" }),
    );
  }
});

test("L01 while io is in flight the clock does not jump", async () => {
  const rt = new VirtualRuntime();
  const answered = new Coordinator({ held: true });
  let flushes = 0;
  rt.cooperator.driver = {
    get inflight() {
      return flushes < 5 ? 1 : 0;
    },
    backlog: 0,
    flush() {
      if (++flushes === 5) answered.release();
      return 0;
    },
  };
  const task = await rt.runAsync(function* () {
    spawn(sleep("1 hour"));
    yield* answered.acquire();
    return now();
  });
  expect(task.result).toBe(0);
  expect(flushes).toBeGreaterThanOrEqual(5);
});

test("L01 a promise that takes one turn of the event loop is waited for before the clock jumps", async () => {
  const rt = new VirtualRuntime();
  const answered = new Coordinator({ held: true });
  const task = await rt.runAsync(function* () {
    void Promise.resolve().then(() => answered.release());
    return yield* coordinateWith(answered, { within: "1 hour" });
  });
  expect(task.exit).toMatchObject({ status: "done" });
  expect(rt.now).toBe(0);
});

test("L02 ten sleeps of 0 to 90 minutes: virtual time is exact", () => {
  const rt = new VirtualRuntime();
  const ends: number[] = [];
  rt.run(function* () {
    for (let i = 0; i < 10; i++) {
      yield* sleep(`${10 * i} minutes`);
      ends.push(now() / 60_000);
    }
  }).result;
  expect(ends).toEqual([0, 10, 30, 60, 100, 150, 210, 280, 360, 450]);
  checked(rt);
});

test("L03 waiting until all are blocked comes before the jump of the clock", () => {
  const rt = new VirtualRuntime();
  const log: string[] = [];
  rt.run(function* () {
    yield* group(function* (g) {
      g.spawn(function* () {
        for (let i = 0; i < 10; i++) yield* yieldNow();
        log.push(`worked ${now()}`);
        yield* sleep(10);
        log.push(`slept ${now()}`);
      });
      g.spawn(function* () {
        yield* untilAllBlocked();
        log.push(`blocked ${now()}`);
        yield* untilAllBlocked();
        log.push(`blocked ${now()}`);
        yield* sleep(10);
        yield* untilAllBlocked();
        log.push(`blocked ${now()}`);
      });
    });
  }).result;
  expect(log).toEqual(["worked 0", "blocked 0", "blocked 0", "slept 10", "blocked 10"]);
  checked(rt);
});

test("L03 everybody who waits for it is woken, and a kill ends the wait wherever it strikes", () => {
  const program = (): Program => {
    const waiter = op(function* () {
      yield* untilAllBlocked();
      yield* sleep(1);
      yield* untilAllBlocked();
    });
    return {
      *body() {
        const all = [0, 1, 2].map(() => spawn(waiter(), { failure: "hold" }));
        for (const task of all) yield* task.settled();
      },
    };
  };
  exhaustive(program);
});

test("L03 on a cooperator of another kind it is a typed error", async () => {
  const { run } = await import("../../src/node/run.ts");
  await expect(run(untilAllBlocked())).rejects.toMatchObject({ code: "COOP_NOT_VIRTUAL" });
});
