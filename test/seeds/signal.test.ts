/** The seed's SignalTest. Its kill signal is a hook here: a task's kill is told by `onKill`, and by waits. */
import { expect, test } from "vitest";
import {
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  never,
  onKill,
  Signal,
  self,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { now, sleep } from "../../src/time/index.ts";
import { runChecked } from "../support/harness.ts";

test("SignalTest StartsUnsignaled", () => {
  const signal = new Signal();
  expect([signal.signaled, signal.waiting]).toEqual([false, 0]);
});

test("SignalTest NotifySignals", () => {
  const signal = new Signal();
  signal.notify();
  expect(signal.signaled).toBe(true);
  signal.notify();
  expect(signal.signaled).toBe(true);
});

test("SignalTest WaitAfterNotify: passes at once, without a suspension", () => {
  runChecked(function* () {
    const signal = new Signal();
    signal.notify();
    let other = false;
    spawn(function* () {
      other = true;
    });
    yield* signal.wait();
    expect(other).toBe(false);
  });
});

test("SignalTest WaitBlocks: all wake, in the order of their waits", () => {
  const signal = new Signal();
  const order: number[] = [];
  runChecked(function* () {
    const tasks = [0, 1, 2].map((i) =>
      spawn(function* () {
        yield* signal.wait();
        order.push(i);
      }),
    );
    yield* yieldNow();
    expect([order.length, signal.waiting]).toEqual([0, 3]);
    signal.notify();
    expect(order).toEqual([]);
    for (const task of tasks) yield* task.join();
  }, signal);
  expect(order).toEqual([0, 1, 2]);
});

test("SignalTest KillSignalWorks: the kill is told once, and a task that runs sees it", () => {
  runChecked(function* () {
    let told = 0;
    const child = spawn(function* () {
      onKill(() => told++);
      self().kill();
      expect([self().killed, told]).toEqual([true, 1]);
      yield* never();
    });
    expect((yield* child.settled()).status).toBe("killed");
    expect(told).toBe(1);
  });
});

// The seed runs the child inside of the call of Kill; a kill never suspends here, and what has to happen inside
// of the call is a hook.
test("SignalTest WaitOnKillSignal: who waits for the kill hears of it inside the call", () => {
  const log: string[] = [];
  runChecked(function* () {
    const child = spawn(function* () {
      onKill(() => log.push("told"));
      try {
        yield* never();
      } finally {
        log.push("unwound");
      }
    });
    yield* yieldNow();
    child.kill();
    log.push("kill returned");
    yield* child.settled();
  });
  expect(log).toEqual(["told", "kill returned", "unwound"]);
});

test("SignalTest CoordinateWithKillReturnsKilled: with no coordinator", () => {
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    let seen: unknown;
    const child = spawn(function* () {
      const result = yield* coordinateWithKill(gate);
      seen = [result.killed, result.coordinator, result.index];
    });
    yield* yieldNow();
    child.kill();
    yield* child.settled();
    expect(seen).toEqual([true, null, -1]);
  }, gate);
});

test("SignalTest CoordinateWithReturnsCoordinator", () => {
  const [a, b] = [new Coordinator({ held: true }), new Coordinator()];
  runChecked(
    function* () {
      const result = yield* coordinateWith(a, b);
      expect([result.index, result.coordinator === b, b.owner === self()]).toEqual([1, true, true]);
      b.release();
    },
    a,
    b,
  );
});

test("SignalTest CoordinateWithKillRepeated: once more after the kill, and no deadlock", () => {
  const gate = new Coordinator({ held: true });
  let rounds = 0;
  runChecked(function* () {
    const child = spawn(function* () {
      for (; rounds < 5; rounds++) expect((yield* coordinateWithKill(gate)).killed).toBe(true);
    });
    yield* yieldNow();
    child.kill();
    yield* child.settled();
  }, gate);
  expect(rounds).toBe(5);
});

test("SignalTest CoordinateWithTimesOut", () => {
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    const result = yield* coordinateWith(gate, { within: 10 });
    expect([result.timedOut, result.killed, result.coordinator]).toEqual([true, false, null]);
    expect(now()).toBe(10);
  }, gate);
});

test("SignalTest CoordinateWithCompletesBeforeTimeout", () => {
  const gate = new Coordinator({ held: true });
  runChecked(function* () {
    spawn(function* () {
      yield* sleep(4);
      gate.release();
    });
    const result = yield* coordinateWith(gate, { within: 10 });
    expect([result.timedOut, result.index, now()]).toEqual([false, 0, 4]);
    // Its timer is gone: nothing jumps to it at the end.
    expect(self().cooperator.statistics().timers).toBe(0);
    gate.release();
  }, gate);
});
