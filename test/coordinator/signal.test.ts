import { describe, expect, test } from "vitest";
import {
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  never,
  Signal,
  self,
  spawn,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { sleep } from "../../src/time/sleep.ts";
import { checked, runChecked } from "../support/harness.ts";

test("starts unsignaled", () => {
  expect(new Signal()).toMatchObject({ signaled: false, waiting: 0, name: "signal" });
  expect(new Signal({ name: "stop" }).name).toBe("stop");
});

test("notify signals, once and for ever", () => {
  const signal = new Signal();
  signal.notify();
  expect(signal.signaled).toBe(true);
  signal.notify();
  expect(signal.signaled).toBe(true);
});

test("a wait after the notification passes without suspending", () => {
  const signal = new Signal();
  const rt = new VirtualRuntime();
  rt.run(function* () {
    signal.notify();
    yield* signal.wait();
    yield* signal.wait();
  }).result;
  expect(rt.statistics().steps).toBe(1);
  checked(rt, signal);
});

test("a wait blocks until the notification; the notifier goes on: 0 1 3 2", () => {
  const signal = new Signal();
  const order: number[] = [];
  runChecked(function* () {
    const child = spawn(
      function* () {
        order.push(0);
        yield* signal.wait();
        order.push(2);
      },
      { start: "now" },
    );
    order.push(1);
    signal.notify();
    order.push(3);
    yield* child.join();
  }, signal);
  expect(order).toEqual([0, 1, 3, 2]);
});

test("wakes all, oldest first, and those who come while it does pass", () => {
  const signal = new Signal();
  const log: string[] = [];
  runChecked(function* () {
    for (const name of ["a", "b", "c"]) {
      spawn(function* () {
        yield* signal.wait();
        log.push(name);
        yield* signal.wait();
        log.push(`${name} again`);
      });
    }
    yield* yieldNow();
    expect(signal.waiting).toBe(3);
    signal.notify();
    spawn(function* () {
      yield* signal.wait();
      log.push("late");
    });
    yield* sleep(1);
  }, signal);
  expect(log).toEqual(["a", "a again", "b", "b again", "c", "c again", "late"]);
});

test("a notification from outside a turn asks the host for one", () => {
  const signal = new Signal();
  const rt = new VirtualRuntime();
  const task = rt.cooperator.spawn(function* () {
    yield* signal.wait();
    return 1;
  });
  rt.settle();
  expect(rt.statistics().ready).toBe(0);
  signal.notify();
  expect(rt.statistics().ready).toBe(1);
  rt.settle();
  expect(task.result).toBe(1);
  checked(rt, signal);
});

describe("a kill is a signal of every task", () => {
  test("self().killed tells, and level 0 sees it without unwinding", () => {
    const log: unknown[] = [];
    runChecked(function* () {
      const child = spawn(
        function* () {
          log.push(self().killed);
          const result = yield* coordinateWithKill(new Signal());
          log.push([result.killed, result.timedOut, result.index, result.coordinator], self().killed);
        },
        { start: "now" },
      );
      child.kill("stop");
      yield* child.settled();
    });
    expect(log).toEqual([false, [true, false, -1, null], true]);
  });

  test("a wait for one's own kill: never()", () => {
    const log: string[] = [];
    runChecked(function* () {
      const child = spawn(
        function* () {
          try {
            yield* never();
          } finally {
            log.push("killed");
          }
        },
        { start: "now" },
      );
      child.kill();
      log.push("requested");
      yield* child.settled();
    });
    expect(log).toEqual(["requested", "killed"]);
  });

  test("a signal wait is killable", () => {
    const signal = new Signal();
    runChecked(function* () {
      const child = spawn(
        function* () {
          yield* signal.wait();
        },
        { start: "now" },
      );
      expect(signal.waiting).toBe(1);
      child.kill();
      expect(signal.waiting).toBe(0);
      expect((yield* child.settled()).status).toBe("killed");
    }, signal);
  });
});

describe("in a wait for several", () => {
  test("wins in any place, is not owned, and passes the next time as well", () => {
    const signal = new Signal();
    const gate = new Coordinator({ held: true });
    runChecked(
      function* () {
        const child = spawn(function* () {
          return yield* coordinateWith(gate, signal);
        });
        yield* yieldNow();
        signal.notify();
        const result = yield* child.join();
        expect(result.index).toBe(1);
        expect(result.coordinator).toBe(signal);
        for (const wait of [coordinateWith, coordinateWithKill]) {
          expect((yield* wait(gate, signal)).index).toBe(1);
          expect((yield* wait(signal, gate)).index).toBe(0);
        }
        expect(gate.waiting).toBe(0);
      },
      signal,
      gate,
    );
  });

  test("a coordinator to its left that is free as well wins", () => {
    const signal = new Signal();
    const gate = new Coordinator();
    signal.notify();
    runChecked(
      function* () {
        expect((yield* coordinateWith(gate, signal)).coordinator).toBe(gate);
        expect((yield* coordinateWith(gate, signal)).coordinator).toBe(signal);
        expect(gate.held).toBe(true);
      },
      signal,
      gate,
    );
  });
});
