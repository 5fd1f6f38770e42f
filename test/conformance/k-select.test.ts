/** Conformance K: waiting for the first of several. */
import { describe, expect, test } from "vitest";
import { group } from "../../src/coordinator/group/group.ts";
import {
  Coordinator,
  coordinateWith,
  coordinateWithKill,
  never,
  Signal,
  self,
  spawn,
  UsageError,
  yieldNow,
} from "../../src/coordinator/index.ts";
import { op } from "../../src/coordinator/operation.ts";
import { select, trySelect } from "../../src/sync/select.ts";
import { VirtualRuntime } from "../../src/testing/virtual.ts";
import { Handle as Timer } from "../../src/time/handle.ts";
import { now, sleep } from "../../src/time/sleep.ts";
import { timeout } from "../../src/time/timeout.ts";
import { exhaustive, runChecked, sized } from "../support/harness.ts";

function notified(): Signal {
  const signal = new Signal();
  signal.notify();
  return signal;
}

describe("K01 several arms are available", () => {
  test("K01 the first in order wins, 10,000 times of 10,000", () => {
    runChecked(function* () {
      const a = notified();
      const b = notified();
      for (let i = 0; i < 10_000; i++) {
        const won = yield* select({ a: a.wait(), b: b.wait() });
        expect(won.key).toBe("a");
      }
    });
  });

  test("K01 with `fair` each of three wins at least every fourth time", () => {
    runChecked(function* () {
      const signal = notified();
      const wins = { a: 0, b: 0, c: 0 };
      for (let i = 0; i < 10_000; i++) {
        const { key } = yield* select(
          { a: signal.wait(), b: signal.wait(), c: signal.wait() },
          { fair: true },
        );
        wins[key]++;
      }
      for (const count of Object.values(wins)) expect(count).toBeGreaterThanOrEqual(2500);
    });
  });

  test("K01 two tasks that wait fairly in turn do not keep their places", () => {
    runChecked(function* () {
      const signal = notified();
      const wins = [0, 0];
      const rounds = sized(1_000, 100);
      yield* group(function* (g) {
        for (let task = 0; task < 2; task++) {
          g.spawn(function* () {
            for (let i = 0; i < rounds; i++) {
              const { key } = yield* select([signal.wait(), signal.wait()], { fair: true });
              if (task === 0) wins[key]!++;
              yield* yieldNow();
            }
          });
        }
      });
      for (const count of wins) expect(count).toBeGreaterThan(rounds / 4);
    });
  });

  test("K01 coordinateWith takes `fair` as well, and the timeout stays last", () => {
    for (const wait of [coordinateWith, coordinateWithKill]) {
      runChecked(function* () {
        const a = notified();
        const b = notified();
        const wins = [0, 0];
        for (let i = 0; i < 1000; i++) wins[(yield* wait(a, b, { fair: true })).index]!++;
        for (const count of wins) expect(count).toBeGreaterThan(250);
        const held = [new Coordinator({ held: true }), new Coordinator({ held: true })] as const;
        for (let i = 0; i < 10; i++) {
          expect((yield* wait(...held, { fair: true, within: 1 })).timedOut).toBe(true);
        }
        spawn(function* () {
          for (const gate of held) gate.release();
        });
        const both = yield* wait(...held, { fair: true, within: 1 });
        expect(both.coordinator).toBe(held[both.index]);
        expect(held.filter((gate) => gate.held)).toEqual([both.coordinator]);
      });
    }
  });
});

describe("K02 nothing is available", () => {
  test("K02 trySelect says so at once and leaves nothing behind", () => {
    const gate = new Coordinator({ held: true });
    const signal = new Signal();
    runChecked(
      function* () {
        const task = spawn(never());
        const other = spawn(function* () {
          yield* sleep(1);
        });
        let stepped = false;
        spawn(function* () {
          stepped = true;
        });
        const nothing = trySelect({
          gate: gate.acquire(),
          flash: gate.flash(),
          signal: signal.wait(),
          join: task.join(),
          settled: other.settled(),
          tick: sleep(5),
        });
        expect(nothing).toBe(null);
        expect(stepped).toBe(false);
        expect([gate.waiting, signal.waiting]).toEqual([0, 0]);
        yield* other.join();
        task.kill();
      },
      gate,
      signal,
    );
  });

  test("K02 it takes what is available, the leftmost", () => {
    runChecked(function* () {
      const gate = new Coordinator();
      expect(trySelect({ gate: gate.acquire(), signal: notified().wait() })).toEqual({
        key: "gate",
        value: undefined,
      });
      expect(gate.held).toBe(true);
      expect(trySelect([new Signal().wait(), notified().wait()])).toEqual({ key: 1, value: undefined });
    });
  });
});

describe("K03 after an arm has won", () => {
  test("K03 the others are out of every queue when its code runs", () => {
    const gate = new Coordinator({ held: true });
    const signal = new Signal();
    runChecked(
      function* () {
        const error = new Error("the handler's own");
        spawn(function* () {
          signal.notify();
        });
        try {
          const won = yield* select({ gate: gate.acquire(), signal: signal.wait(), tick: sleep(10) });
          expect(won.key).toBe("signal");
          expect(gate.waiting).toBe(0);
          throw error;
        } catch (caught) {
          expect(caught).toBe(error);
        }
        expect(yield* now0()).toBe(0);
      },
      gate,
      signal,
    );
  });

  test("K03 they leave in the moment of the grant, before the task runs", () => {
    const gate = new Coordinator({ held: true });
    const signal = new Signal();
    runChecked(
      function* () {
        const task = spawn(select({ gate: gate.acquire(), signal: signal.wait() }));
        yield* yieldNow();
        expect([gate.waiting, signal.waiting]).toEqual([1, 1]);
        signal.notify();
        expect(gate.waiting).toBe(0);
        gate.release();
        expect(gate.held).toBe(false);
        expect((yield* task.join()).key).toBe("signal");
      },
      gate,
      signal,
    );
  });

  test("K03 an arm that fails makes select throw its error; the others are left", () => {
    const signal = new Signal();
    runChecked(function* () {
      const failing = spawn(
        function* () {
          yield* sleep(1);
          throw new Error("failed");
        },
        { failure: "hold" },
      );
      for (let i = 0; i < 2; i++) {
        let caught: unknown;
        try {
          yield* select({ signal: signal.wait(), failing: failing.join() });
        } catch (error) {
          caught = error;
        }
        expect((caught as Error).message).toBe("failed");
      }
      const own = new Coordinator();
      yield* own.acquire();
      let usage: unknown;
      try {
        yield* select({ signal: signal.wait(), own: own.acquire() });
      } catch (error) {
        usage = error;
      }
      expect((usage as UsageError).code).toBe("COOP_SELF_ACQUIRE");
    }, signal);
  });
});

function* now0(): Generator<unknown, number, unknown> {
  yield* yieldNow();
  return now();
}

test("K04 a kill at every point leaves nothing registered, and what was won goes on to the next", () => {
  exhaustive(() => {
    const gate = new Coordinator({ name: "gate" });
    const signal = new Signal();
    let inside = 0;
    return {
      gates: [gate, signal],
      body: function* () {
        const tasks = [0, 1, 2].map(() =>
          spawn(function* () {
            const won = yield* select({ signal: signal.wait(), gate: gate.acquire(), tick: sleep(5) });
            if (won.key !== "gate") return;
            try {
              expect(++inside).toBe(1);
              yield* sleep(1);
            } finally {
              inside--;
              gate.release();
            }
          }),
        );
        yield* sleep(2.5);
        signal.notify();
        for (const task of tasks) yield* task.settled();
      },
      check: () => {
        expect(gate.held).toBe(false);
        expect(inside).toBe(0);
      },
    };
  });
});

test("K04 a task that kills itself in an arm is left nowhere", () => {
  const gate = new Coordinator({ held: true });
  const signal = new Signal();
  runChecked(
    function* () {
      const child = spawn(function* () {
        yield* select({ gate: gate.acquire(), end: self().killAndWait("enough"), signal: signal.wait() });
      });
      expect((yield* child.settled()).status).toBe("killed");
    },
    gate,
    signal,
  );
});

test("K05 a lock that loses is not held afterwards", () => {
  exhaustive(() => {
    const lock = new Coordinator({ name: "lock" });
    return {
      gates: [lock],
      body: function* () {
        yield* lock.acquire();
        const loser = spawn(function* () {
          const won = yield* select({ lock: lock.acquire(), tick: sleep(1) });
          if (won.key === "lock") lock.release();
        });
        const next = spawn(function* () {
          yield* sleep(2);
          yield* lock.acquire();
          lock.release();
        });
        yield* sleep(1);
        lock.release();
        yield* loser.settled();
        yield* next.settled();
      },
      check: ({ main }) => {
        // Only the main task may have been stopped between its acquire and its release.
        if (main.exit!.status === "done") expect(lock.held).toBe(false);
      },
    };
  });
});

describe("K13 a timeout as an arm", () => {
  test("K13 zero is ready at once, and loses to an arm before it that is ready", () => {
    runChecked(function* () {
      const signal = notified();
      expect((yield* select({ signal: signal.wait(), tick: sleep(0) })).key).toBe("signal");
      expect((yield* select({ tick: sleep(0), signal: signal.wait() })).key).toBe("tick");
      expect((yield* select({ never: never(), tick: sleep(0) })).key).toBe("tick");
      expect(trySelect({ never: never(), tick: sleep(0) })?.key).toBe("tick");
      expect(now()).toBe(0);
    });
  });

  test("K13 a loop over an arm of no time lets others run", () => {
    runChecked(function* () {
      let stopped = false;
      spawn(function* () {
        stopped = true;
      });
      while (!stopped) yield* select({ tick: sleep(0) });
    });
  });

  test("K13 a negative time is a typed error, as everywhere", () => {
    runChecked(function* () {
      expect(() => select({ tick: sleep(-1) })).toThrow(UsageError);
      yield* yieldNow();
    });
  });

  test("K13 the earliest of several wins, and no timer is left", () => {
    const rt = new VirtualRuntime();
    const won = rt.run(select({ slow: sleep(20), fast: sleep(10), never: never() })).result;
    expect(won).toEqual({ key: "fast", value: undefined });
    expect(rt.now).toBe(10);
    expect(rt.statistics().timers).toBe(0);
  });
});

describe("handles as arms", () => {
  test("one that loses is cancelled; one that wins gives its result", () => {
    runChecked(function* () {
      const timer = new Timer();
      timer.setup(5);
      const won = yield* select({ tick: sleep(1), timer });
      expect(won.key).toBe("tick");
      expect([timer.status, timer.result]).toEqual(["done", -125]);
      timer.setup(5);
      expect(yield* select({ timer, never: never() })).toEqual({ key: "timer", value: 0 });
    });
  });

  test("one that is done wins at once", () => {
    runChecked(function* () {
      const timer = new Timer();
      timer.setup(1);
      yield* timer;
      expect(yield* select({ never: never(), timer })).toEqual({ key: "timer", value: 0 });
    });
  });

  test("several that are left together end, whatever the kill", () => {
    exhaustive(() => ({
      body: function* () {
        const child = spawn(function* () {
          const [a, b] = [new Timer(), new Timer()];
          a.setup(3);
          b.setup(4);
          yield* select({ a, b, tick: sleep(2), signal: notified().wait() });
          a.setup(3);
          b.setup(1);
          yield* select([a, b]);
        });
        yield* child.settled();
      },
    }));
  });
});

describe("what an arm may be", () => {
  const refused = (make: () => unknown): string => {
    let message = "";
    runChecked(function* () {
      try {
        make();
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        expect((error as UsageError).code).toMatch(/COOP_NOT_AN_ARM|COOP_NOTHING_TO_WAIT_FOR/);
        message = (error as Error).message;
      }
      yield* yieldNow();
    });
    return message;
  };

  test("a call of an op is not, and the error says what to use", () => {
    const fetchPage = op(function* fetchPage() {
      yield* yieldNow();
    });
    expect(refused(() => select({ page: fetchPage() }))).toMatch(/^page is a call of fetchPage; .* race\(\)/);
    expect(refused(() => select({ page: (function* () {})() }))).toMatch(/race\(\)/);
    expect(refused(() => select({ page: group(function* () {}) }))).toMatch(/race\(\)/);
  });

  test("nor is a wait that cannot be left, another select, or nothing", () => {
    expect(refused(() => select({ many: coordinateWith(new Signal()) }))).toMatch(/cannot be left/);
    expect(refused(() => select({ many: select([new Signal().wait()]) }))).toMatch(/its arms into this one/);
    expect(refused(() => select({}))).toMatch(/at least one/);
    expect(refused(() => select([]))).toMatch(/at least one/);
    expect(refused(() => select(null as never))).toMatch(/null/);
    expect(refused(() => select({ a: 1 as never }))).toMatch(/the number 1/);
    expect(refused(() => select({ a: null as never }))).toMatch(/null/);
    expect(refused(() => trySelect({ timer: new Timer() }))).toMatch(/has to be waited for/);
  });

  test("the same operation twice is a typed error, and leaves nothing", () => {
    const signal = new Signal();
    runChecked(function* () {
      const wait = signal.wait();
      const task = spawn(select([wait, wait]), { failure: "hold" });
      const exit = yield* task.settled();
      expect(exit).toMatchObject({ status: "failed", error: { code: "COOP_OPERATION_USED" } });
    }, signal);
  });

  test("arms can be used again, in the next select", () => {
    runChecked(function* () {
      const signal = new Signal();
      const arms = { signal: signal.wait(), tick: sleep(1) };
      for (let i = 0; i < 3; i++) expect((yield* select(arms)).key).toBe("tick");
      signal.notify();
      expect((yield* select(arms)).key).toBe("signal");
    });
  });

  test("a select that is iterated over by hand leaves its arms", () => {
    const gate = new Coordinator({ held: true });
    runChecked(function* () {
      const iterator = select({ gate: gate.acquire(), tick: sleep(1) })[Symbol.iterator]();
      iterator.next();
      expect(gate.waiting).toBe(1);
      expect(() => iterator.next()).toThrow(UsageError);
      expect(gate.waiting).toBe(0);
      yield* yieldNow();
    }, gate);
  });

  test("a dump says what it waits for", () => {
    const rt = new VirtualRuntime();
    const task = rt.cooperator.spawn(select({ a: new Signal({ name: "news" }).wait(), tick: sleep(5) }));
    rt.settle();
    expect(task.wait!.describe()).toBe("first of a: news, tick: sleep of 5 ms");
    rt.cooperator.kill();
    rt.drain();
  });
});

test("waiters that are moved together while one of them wins", () => {
  const from = new Coordinator({ held: true });
  const to = new Coordinator();
  runChecked(
    function* () {
      const task = spawn(select({ a: from.acquire(), b: from.flash() }));
      yield* yieldNow();
      expect(from.moveWaiters(to)).toBe(1);
      expect((yield* task.join()).key).toBe("a");
      expect([from.waiting, to.held]).toEqual([0, true]);
    },
    from,
    to,
  );
});

test("V04 selects with arms that never fire leave no node behind", () => {
  const gate = new Coordinator({ held: true });
  const signal = new Signal();
  runChecked(
    function* () {
      const tick = notified();
      const { heapUsed } = process.memoryUsage();
      for (let i = sized(100_000, 100); i > 0; i--) {
        yield* select({ gate: gate.acquire(), signal: signal.wait(), tick: tick.wait() });
      }
      expect([gate.waiting, signal.waiting]).toEqual([0, 0]);
      expect(process.memoryUsage().heapUsed - heapUsed).toBeLessThan(64e6);
    },
    gate,
    signal,
  );
});

test("a timeout around a select leaves its arms", () => {
  const signal = new Signal();
  runChecked(function* () {
    let late = false;
    try {
      yield* timeout(5, select({ signal: signal.wait(), tick: sleep(10) }));
    } catch {
      late = true;
    }
    expect(late).toBe(true);
    expect(now()).toBe(5);
  }, signal);
});
