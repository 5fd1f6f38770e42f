/** The seed's SleepTest, TimerQueueTest and TimerIntegrationTest. Slack is not offered: every timer is exact. */
import { expect, test } from "vitest";
import { self, spawn, yieldNow } from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { now, sleep } from "../../src/time/index.ts";
import type { Timed } from "../../src/time/timer-queue.ts";
import { checked, exhaustive, runChecked } from "../support/harness.ts";

class Probe implements Timed {
  deadline = 0;
  order = 0;
  heapIndex = -1;
  readonly name: number;
  private readonly log: number[];
  constructor(name: number, log: number[]) {
    this.name = name;
    this.log = log;
  }
  fire(): void {
    this.log.push(this.name);
  }
}

test("SleepTest SleepCompletesNormally", () => {
  runChecked(function* () {
    yield* sleep(10);
    expect(now()).toBe(10);
  });
});

// There is no slack to allow; what the seed proves of it, that a sleep is never early, holds of every sleep.
test("SleepTest SlackSleepIsOneSided: never early, on a clock that runs ahead of the timers", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    for (const length of [1, 3, 7]) {
      const start = now();
      spawn(function* () {
        rt.advance(length - 0.5);
      });
      yield* sleep(length);
      expect(now() - start).toBeGreaterThanOrEqual(length);
    }
  }).result;
  checked(rt);
});

test("SleepTest SleepReturnsFalseOnKill: it ends at once, and its timer with it", () => {
  const rt = new VirtualRuntime();
  rt.run(function* () {
    const sleeper = spawn(sleep("1 hour"));
    yield* yieldNow();
    expect(rt.timers.size).toBe(1);
    sleeper.kill();
    expect(rt.timers.size).toBe(0);
    expect((yield* sleeper.settled()).status).toBe("killed");
  }).result;
  expect(rt.now).toBe(0);
  checked(rt);
});

test("TimerQueueTest PopsInDeadlineOrder", () => {
  const rt = new VirtualRuntime();
  const log: number[] = [];
  for (const at of [5, 1, 4, 2, 3]) rt.timers.arm(new Probe(at, log), at * 1e6);
  rt.advance(10);
  rt.settle();
  expect(log).toEqual([1, 2, 3, 4, 5]);
});

test("TimerQueueTest PopExpiredRespectsCutoff", () => {
  const rt = new VirtualRuntime();
  const log: number[] = [];
  for (const at of [1, 2, 3, 4]) rt.timers.arm(new Probe(at, log), at * 1e6);
  rt.advance(2);
  rt.settle();
  expect(log).toEqual([1, 2]);
  rt.advance(0.999_999);
  rt.settle();
  expect(log).toEqual([1, 2]);
  rt.advance(0.000_001);
  rt.settle();
  expect(log).toEqual([1, 2, 3]);
});

test("TimerQueueTest ArbitraryRemove", () => {
  const rt = new VirtualRuntime();
  const log: number[] = [];
  const probes = Array.from({ length: 50 }, (_, i) => new Probe(i, log));
  for (const probe of probes) rt.timers.arm(probe, (probe.name + 1) * 1e6);
  for (const probe of probes) if (probe.name % 3 === 1) expect(rt.timers.disarm(probe)).toBe(true);
  rt.timers.validate();
  expect(rt.timers.disarm(probes[1]!)).toBe(false);
  rt.advance(100);
  rt.settle();
  expect(log).toEqual(probes.map(({ name }) => name).filter((name) => name % 3 !== 1));
});

test("TimerQueueTest RandomizedStress: against a list that is sorted each time", () => {
  const rt = new VirtualRuntime();
  const log: number[] = [];
  const expected: number[] = [];
  let model: Probe[] = [];
  let state = 12345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let i = 0; i < 5000; i++) {
    const what = random(10);
    if (what < 6 || model.length === 0) {
      const probe = new Probe(i, log);
      rt.timers.arm(probe, (rt.now + 1 + random(50)) * 1e6);
      model.push(probe);
    } else if (what < 8) {
      const [probe] = model.splice(random(model.length), 1);
      expect(rt.timers.disarm(probe!)).toBe(true);
    } else {
      rt.advance(random(20));
      rt.settle();
      const due = model.filter(({ deadline }) => deadline <= rt.now * 1e6);
      due.sort((a, b) => a.deadline - b.deadline || a.order - b.order);
      expected.push(...due.map(({ name }) => name));
      model = model.filter((probe) => !due.includes(probe));
    }
    if (i % 50 === 0) rt.timers.validate();
    expect(rt.timers.size).toBe(model.length);
  }
  expect(log).toEqual(expected);
  for (const probe of model) rt.timers.disarm(probe);
  checked(rt);
});

test.each([
  ["ConcurrentSleepsFireInOrderNotEarly", [30, 10, 20, 10, 5]],
  // Exact and slack timers side by side in the seed; here lengths of very different size.
  ["MixedSlackAndExact", [100_000, 0.001, 1, 1e9, 2]],
] as const)("TimerIntegrationTest %s", (_, lengths) => {
  const log: (readonly [number, number])[] = [];
  runChecked(function* () {
    const tasks = lengths.map((length) =>
      spawn(function* () {
        yield* sleep(length);
        log.push([length, now()]);
      }),
    );
    for (const task of tasks) yield* task.join();
  });
  expect(log).toEqual([...lengths].sort((a, b) => a - b).map((length) => [length, length]));
});

test("TimerIntegrationTest KillMidSleepRemovesFromQueue, wherever the kill strikes", () => {
  exhaustive(() => ({
    body: function* () {
      const sleepers = [5, 6, 7].map((length) => spawn(sleep(length)));
      yield* sleep(2);
      expect(self().cooperator.statistics().timers).toBeLessThanOrEqual(3);
      sleepers[1]!.kill();
      for (const sleeper of sleepers) yield* sleeper.settled();
    },
  }));
});
